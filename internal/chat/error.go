package chat

import (
	"context"
	"errors"
	"time"
)

// Code says what kind of failure an Error is. Clients see it as extensions.code.
type Code string

// The codes, as clients meet them.
const (
	CodeUnauthenticated Code = "UNAUTHENTICATED"   // no valid credentials; with a Path those in the input, else those of the session
	CodeForbidden       Code = "FORBIDDEN"         // the viewer sees the thing, and may not do this to it
	CodeNotFound        Code = "NOT_FOUND"         // there is no such thing for this viewer
	CodeBadInput        Code = "BAD_USER_INPUT"    // Path says which part of the input
	CodeConflict        Code = "CONFLICT"          // the thing is not (any more) in a state that allows this
	CodeRateLimited     Code = "RATE_LIMITED"      // RetryAfter says when it may work
	CodeCursorExpired   Code = "CURSOR_EXPIRED"    // the log no longer reaches back to the cursor
	CodeInvalidCursor   Code = "INVALID_CURSOR"    // not a cursor of this log
	CodeTooComplex      Code = "QUERY_TOO_COMPLEX" // the operation exceeds a limit
	CodeUnavailable     Code = "UNAVAILABLE"       // try again after RetryAfter; nothing was done, or a retry tells
	CodeInternal        Code = "INTERNAL"          // a fault of ours; only a request id is shown
)

// Error is a failure that may be shown to a client: code and message are safe, the cause is not and is only logged.
type Error struct {
	Code       Code
	Message    string
	Path       []string // of the input, below the field's arguments: "input", "body"
	RetryAfter time.Duration
	Cause      error
}

func (e *Error) Error() string {
	if e.Cause != nil {
		return string(e.Code) + ": " + e.Message + ": " + e.Cause.Error()
	}
	return string(e.Code) + ": " + e.Message
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// The failures that always read the same.
var (
	ErrUnauthenticated = &Error{Code: CodeUnauthenticated, Message: "sign in first"}
	// ErrNotFound is the answer for what does not exist and for what the viewer may not see: nobody can tell them apart.
	ErrNotFound      = &Error{Code: CodeNotFound, Message: "not found"}
	ErrCursorExpired = &Error{Code: CodeCursorExpired, Message: "the log does not reach back to this cursor; query anew and subscribe with the new cursor"}
	ErrInvalidCursor = &Error{Code: CodeInvalidCursor, Message: "not a cursor of this server; query anew and subscribe with the new cursor"}
)

// BadInput is a BAD_USER_INPUT about the part of the input that path leads to.
func BadInput(message string, path ...string) *Error {
	return &Error{Code: CodeBadInput, Message: message, Path: path}
}

// Forbidden is a FORBIDDEN with its reason.
func Forbidden(message string) *Error { return &Error{Code: CodeForbidden, Message: message} }

// Conflict is a CONFLICT with its reason.
func Conflict(message string) *Error { return &Error{Code: CodeConflict, Message: message} }

// CodeOf is the code of the first Error in err's chain. A cancelled or expired context is UNAVAILABLE, anything else
// INTERNAL; nil has no code.
func CodeOf(err error) Code {
	var e *Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &e):
		return e.Code
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return CodeUnavailable
	}
	return CodeInternal
}
