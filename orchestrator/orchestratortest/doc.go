// Package orchestratortest has what tests of agents need: a model that checks
// what it is sent, a worker that lives as long as the test, what a run's log must
// hold, and crashes at every commit.
//
//	func TestRefund(t *testing.T) {
//		synctest.Test(t, func(t *testing.T) {
//			store := memorytest.NewStore(nil)
//			model := orchestratortest.Model(t,
//				orchestratortest.Step{User: "order 7", Reply: scripted.Call("refund", `{"id":7}`)},
//				orchestratortest.Step{Results: []string{"refund returned: paid back"}, Reply: scripted.Say("Done.")},
//			)
//			o := orchestratortest.Work(t, store, nil, desk(model))
//			id, err := o.Start(t.Context(), orchestrator.Request{Agent: "desk", Message: agent.Text("Pay order 7 back.")})
//			...
//			log := orchestratortest.ReadLog(t, store, id) // has checked what every log must hold
//			if n := len(orchestratortest.Find[*run.Began](log)); n != 1 { … }
//		})
//	}
//
// There is no clock to move by hand. Within a bubble of testing/synctest,
// [time.Now] is a fake already, memorytest.NewStore(nil) follows it, and time
// passes as soon as all that goes on waits for it: time.Sleep of thirty days takes
// no time at all, and an approval expires, a retry comes due and a lease ends just
// as they would.
package orchestratortest
