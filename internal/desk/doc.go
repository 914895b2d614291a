// Package desk is the service desk of a pretend web shop: the agents that the
// fermata command is born with, for demonstrations and first steps.
//
// The [Shop] has a few orders and parcels, and a bank that keeps its ledger in a
// file, so that every process of this machine sees which refunds were paid. No
// real money moves and no real parcel is tracked; everything else – what runs in
// parallel, what needs approval, what happens when a process dies in the middle
// of a payment – is what a real desk would have.
//
// The desk gives tasks about invoices to billing, and hands those who want to send
// something back off to returns. Small refunds it makes itself, others wait for
// approval: see [ApproveAbove].
//
// [Agents] makes them of any model. [Model] makes one that needs no network:
// it knows a few words, and says so when it does not understand.
package desk
