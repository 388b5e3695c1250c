import { useApolloClient, useMutation, useQuery } from '@apollo/client/react';
import { ExportDocument, RequestExportDocument } from '../gql/graphql';
import { explain, useAction } from '../ui/action';
import { Icon } from '../ui/icons';
import { full, since, useNow } from '../ui/time';
import { Card, Page, Pending } from './page';

/** How long after an export another may be asked for, in milliseconds. */
const pause = 24 * 3_600_000;

/** A copy of everything that the viewer can see. */
export function Export() {
  const client = useApolloClient();
  const now = useNow();
  const { data, error, refetch } = useQuery(ExportDocument, { fetchPolicy: 'cache-and-network' });
  const [request] = useMutation(RequestExportDocument, {
    update(cache, { data }) {
      if (data) cache.writeQuery({ query: ExportDocument, data: { export: data.requestExport.export } });
    },
  });
  const [ask, asking] = useAction(() => request());
  // Links work for some minutes only, so this asks for a new one.
  const [download, fetching] = useAction(async () => {
    const { data } = await client.query({ query: ExportDocument, fetchPolicy: 'network-only' });
    const url = data?.export?.url;
    if (!url) return;
    const link = document.createElement('a');
    link.href = url;
    link.download = '';
    link.click();
  });
  const known = data?.export;
  const may = !known || (known.status === 'READY' && now - Date.parse(known.createdAt) > pause);
  return (
    <Page title="Your data" about="A copy of everything you can see: profile, people, conversations, notifications. A ZIP file of JSON lines.">
      {!data ? (
        <Pending problem={error && explain(error)} retry={() => void refetch()} />
      ) : (
        <Card title="Copy">
          <div role="status">
            {!known ? (
              <p className="settings-about">There is none yet. It is made in the background, and kept for seven days.</p>
            ) : known.status === 'PENDING' ? (
              <p className="export-line">
                <span className="pulse" aria-hidden="true" />
                It is being made. You may go on: you are told here when it is ready, and by mail.
              </p>
            ) : (
              <p className="export-line">
                <Icon name="check" />
                <span>
                  Ready. Asked for {since(known.createdAt, now)}, kept until {full(known.expiresAt)}.
                </span>
              </p>
            )}
          </div>
          <div className="settings-end">
            {known?.status === 'READY' && (
              <button type="button" className="button primary" aria-busy={fetching} onClick={() => void download()}>
                <Icon name="down" />
                Download it
              </button>
            )}
            {may && (
              <button type="button" className={known ? 'button' : 'button primary'} aria-busy={asking} onClick={() => void ask()}>
                {known ? 'Make another' : 'Make a copy'}
              </button>
            )}
          </div>
          {known?.status === 'READY' && <p className="settings-about">The download’s address needs no password: give it to nobody.{may ? '' : ' Another copy can be made a day after the last.'}</p>}
        </Card>
      )}
    </Page>
  );
}
