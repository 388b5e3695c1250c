// Command load is the clients of the chaos run: senders over HTTP, subscribers over WebSocket and Server-Sent Events, and
// people who are removed, race each other and sign out. It writes what it did and saw to a history file and judges nothing.
//
//	load -nodes http://127.0.0.1:8081,http://127.0.0.1:8082,… -out load.jsonl [-seed 1] [-quick] [-duration 10m]
//	     [-users 1000] [-subscribers 1000] [-senders 300] [-rooms 100] [-room-size 10] [-rate 60] [-settle 60s] [-quiet 10s]
//
// It signs everybody up, makes friends and groups, connects all subscribers and prints "ready" to stdout. It begins when it
// reads a line on stdin, after -quiet in which nothing happens; it prints "loading" then. After -duration it stops sending
// and prints "settling" (the nemesis is to have healed everything by then), waits up to -settle for everybody to have
// everything, keeps the sockets for another -quiet so that the servers can be measured at rest, prints "done" and ends with
// 0: what it saw is for check to judge. Exit 1: it could not do its work.
//
// The servers need these settings, or it is refused: --access-ttl 2h --sends-per-second 1000 --sign-ins-per-user 1000
// --sign-ins-per-addr 100000 --sockets-per-addr 10000 --sockets-per-user 100.
package main

func main() {}
