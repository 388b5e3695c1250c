// Package mail lays out the mails that the program sends, and hands them to an SMTP server or, where none is set, to a
// folder.
//
// Every mail is text and HTML with the same words, made from one template of its kind. What users wrote reaches it only
// through clean and nameOf: on one line, bounded, and with nothing that a header or a reader could take for ours.
//
// The Message-ID follows from the key that the caller gives. A mail is sent at least once: when the connection breaks
// after the server has taken it and before it has said so, the next try sends it again, and receivers know it by its
// Message-ID.
//
// A Mailer holds no connection and no goroutine between two mails, and may be used by several goroutines.
package mail
