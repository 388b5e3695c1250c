// Package cluster starts Parley as operators run it, on loopback: a PostgreSQL, a NATS server and several nodes, each a
// process of its own that can be killed, stopped and started again where it was. It shares no code with the server.
//
// Clients reach a node through a Proxy, whose connections can be cut, and a node reaches NATS through one that can lose,
// double, delay and reorder doorbells. The processes end with the one that started them, however that ends; their data and
// logs lie in a folder. It runs on Linux and needs PostgreSQL's programs.
//
// A Process guards itself: any goroutine may call any method. Its goroutine waits for the program to end and closes done.
// A Proxy has a goroutine that accepts, and two for each connection; Close waits for all of them.
package cluster
