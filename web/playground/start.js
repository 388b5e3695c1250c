// The HTTP HEADERS pane authenticates subscriptions too: Playground sends it as the payload of connection_init.
const root = document.getElementById('root');
const endpoint = new URL(root.dataset.endpoint, location.href);
const subscriptionEndpoint = new URL(endpoint);
subscriptionEndpoint.protocol = endpoint.protocol.replace('http', 'ws');
GraphQLPlayground.init(root, { endpoint: endpoint.href, subscriptionEndpoint: subscriptionEndpoint.href, settings: { 'request.credentials': 'same-origin', 'schema.polling.enable': false } });
