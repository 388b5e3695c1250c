import type { MessageTextFragment } from '../gql/graphql';
import type { Stretch } from '../live/history';

/**
 * What others have said since: not what is paged through, and also what came later than what follows it.
 *
 * @param before what was shown
 * @param now what is shown in its place
 */
export function arrivals(before: Stretch, now: Stretch, me: string): MessageTextFragment[] {
  if (before.pageInfo.hasNextPage || now.pageInfo.hasNextPage) return []; // what comes is not shown, or was there before
  const shown = new Set(before.nodes.map(({ seq }) => seq));
  const above = before.pageInfo.hasPreviousPage ? (before.nodes[0]?.seq ?? 0) : 0;
  return now.nodes.filter(({ seq, sender }) => seq > above && !shown.has(seq) && sender.id !== me);
}
