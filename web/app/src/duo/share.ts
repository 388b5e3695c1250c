import type { Operation } from './log';

/** A command that asks the same again; a subscription comes as a stream of server-sent events. */
export function curl(url: string, { type, name, query, variables }: Pick<Operation, 'type' | 'name' | 'query' | 'variables'>, authorization: string | undefined): string {
  const body = { query, variables, ...(new RegExp(`\\b${name}\\b`).test(query.split('{')[0] ?? '') && { operationName: name }) };
  return [
    `curl ${type === 'subscription' ? '-N ' : ''}${quoted(url)}`,
    `-H ${quoted('Content-Type: application/json')}`,
    ...(type === 'subscription' ? [`-H ${quoted('Accept: text/event-stream')}`] : []),
    ...(authorization === undefined ? [] : [`-H ${quoted(`Authorization: ${authorization}`)}`]),
    `-d ${quoted(JSON.stringify(body))}`,
  ].join(' \\\n  ');
}

/** Where GraphiQL shows an operation. It asks nothing by itself, and takes no token from an address: that goes into its Headers tab. */
export function graphiql({ query, variables }: Pick<Operation, 'query' | 'variables'>): string {
  return `/graphiql/?${new URLSearchParams({ query, variables: JSON.stringify(variables, null, 2) })}`;
}

/** One word of a POSIX shell. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
