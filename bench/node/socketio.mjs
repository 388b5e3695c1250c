// Socket.IO as its manual shows it: one room, and an emit to it for each message that is posted to /publish.
import http from 'node:http'
import { Server } from 'socket.io'

const [host, port] = process.argv[2].split(':')
const server = http.createServer()
const io = new Server(server, { transports: ['websocket'], serveClient: false })
server.on('request', (req, res) => {
  if (req.url !== '/publish') return
  let body = ''
  req.on('data', (d) => (body += d))
  req.on('end', () => {
    io.to('room').emit('messageAdded', JSON.parse(body).payload)
    res.end()
  })
})
io.on('connection', (socket) => socket.join('room'))
server.listen(Number(port), host)
