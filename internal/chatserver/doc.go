// Package chatserver is an HTTP endpoint that speaks chat completions and plays
// a script, for tests, end-to-end runs and benchmarks. It stands in for OpenAI
// and the endpoints that are compatible with it: well-behaved with [Reply], and
// hostile with a [Fault] or a [Raw] answer.
//
//	srv := httptest.NewServer(chatserver.New(chatserver.Script{Scenes: []chatserver.Scene{{
//		Replies: []chatserver.Reply{
//			{Calls: []chatserver.Call{{Name: "lookup", Args: json.RawMessage(`{"order":7}`)}}},
//			{Text: "It is on its way.", Fault: chatserver.FaultUnavail, Times: 2},
//		},
//	}}}, nil))
//
// Its base URL is srv.URL + "/v1". Which reply is next follows from the request
// alone: it is the number of the assistant's messages that the request already
// holds. So the script survives restarts of the server and serves many
// conversations at once. Only the count of a fault's Times is kept.
//
// Every request is held against [CheckRequest], the rules that real endpoints
// enforce; a malformed one is answered with 400 and kept for [Server.Err].
package chatserver
