import type { NotificationItemFragment } from '../gql/graphql';

/** Where a notification leads: to what it is about, if the viewer may still see that. */
export function leadsTo({ kind, actor, conversation }: Pick<NotificationItemFragment, 'kind' | 'conversation'> & { actor: { id: string } }): string | null {
  switch (kind) {
    case 'FRIEND_REQUEST':
    case 'FRIEND_REQUEST_ACCEPTED':
      return `/people/${actor.id}`;
    case 'NEW_DEVICE':
      return '/settings/sessions';
    default:
      return conversation ? `/conversations/${conversation.id}` : null;
  }
}
