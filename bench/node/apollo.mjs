// Apollo's way to subscriptions: graphql-ws on ws, a schema of the same shape, and an iterator for each subscriber.
import http from 'node:http'
import { makeExecutableSchema } from '@graphql-tools/schema'
import { createHmac } from 'node:crypto'
import { useServer } from 'graphql-ws/use/ws'
import { WebSocketServer } from 'ws'

const [host, port] = process.argv[2].split(':')
const subscribers = new Set()

async function* messages() {
  const queue = []
  let wake
  const push = (m) => {
    queue.push(m)
    wake?.()
  }
  subscribers.add(push)
  try {
    for (;;) {
      while (queue.length > 0) yield queue.shift()
      await new Promise((r) => (wake = r))
    }
  } finally {
    subscribers.delete(push)
  }
}

const schema = makeExecutableSchema({
  typeDefs: `
    type Query { ok: Boolean! }
    type Subscription { messageAdded(conversationId: ID!): MessageAdded! }
    type MessageAdded { cursor: String! message: Message! }
    type Message { id: ID! seq: Int! body: String! createdAt: String! sender: User! }
    type User { id: ID! username: String! displayName: String! }
  `,
  resolvers: { Subscription: { messageAdded: { subscribe: messages, resolve: (m) => m } } },
})

const server = http.createServer((req, res) => {
  let body = ''
  req.on('data', (d) => (body += d))
  req.on('end', () => {
    if (req.url === '/publish') {
      const m = JSON.parse(body).payload.data.messageAdded
      for (const push of subscribers) push(m)
    }
    res.end()
  })
})
const sockets = new WebSocketServer({ server, path: '/graphql' })
useServer(
  {
    schema,
    onConnect: ({ connectionParams }) => {
      const [head, claims, mac] = String(connectionParams?.Authorization).replace('Bearer ', '').split('.')
      return createHmac('sha256', Buffer.from(process.env.BENCH_KEY, 'hex')).update(`${head}.${claims}`).digest('base64url') === mac
    },
  },
  sockets,
)
server.listen(Number(port), host)
