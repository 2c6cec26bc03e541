package httpapi

import (
	"net/http"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/access"
	"github.com/neohook/neohook/webhook"
)

func taskOperations() []*operation {
	return []*operation{
		serves(operation{
			name: "background-task.list", route: "GET /background-task",
			scope: organisationOnly, needs: access.View, refusals: []int{http.StatusNotFound},
			summary: "List the tasks, running and ended",
			about:   "One that has ended is kept for 30 days, of an application the last 250, and of those for no single application the last 25.",
		}, listTasks),
		serves(operation{
			name: "background-task.get", route: "GET /background-task/{task_id}",
			scope: organisationOnly, needs: access.View,
			summary: "Get a task, and how far it has come",
		}, getTask),
		serves(operation{
			name: "background-task.cancel", route: "POST /background-task/{task_id}/cancel",
			scope: organisationOnly, needs: access.CreateAttempts,
			summary: "Cancel a task",
			about:   "It makes nothing more. What it has sent goes on, and what it has cancelled stays so. One that has ended stays as it is.",
		}, cancelTask),
	}
}

// The names of tasks on the wire. Clients refuse those that they do not know, so what is
// ours has the name of what is like it, and tells its kind in its data.
var taskNames = map[webhook.JobKind]string{
	webhook.JobRecover: "endpoint.recover", webhook.JobReplayMissing: "endpoint.replay",
	webhook.JobResend: "endpoint.bulk-replay", webhook.JobCancel: "endpoint.bulk-replay",
	webhook.JobExpunge: "application.purge_content", webhook.JobUsage: "application.stats", webhook.JobSubscriptions: "event-type.aggregate",
}

// taskOut is a task that goes on in the background.
type taskOut struct {
	ID        webhook.JobID `json:"id" doc:"Sortable by the time of its start." eg:"qtask_2abcABCabcABCabcABCabcABCabc"`
	Status    string        `json:"status" is:"enum=running|finished|failed" doc:"How it stands. One that was cancelled has failed."`
	Task      string        `json:"task" is:"enum=endpoint.recover|endpoint.replay|endpoint.bulk-replay|application.purge_content|application.stats|event-type.aggregate" doc:"What it does. What cancels deliveries is an endpoint.bulk-replay too: the data tell its kind."`
	UpdatedAt instant       `json:"updatedAt" doc:"When it was last heard of."`
	Data      taskDataOut   `json:"data" doc:"How far it has come, and what it has found."`
}

type taskDataOut struct {
	Kind       string              `json:"kind" is:"enum=recover|replay_missing|resend|cancel|expunge|usage|subscriptions" doc:"What it does."`
	State      string              `json:"state" is:"enum=running|finished|cancelled|failed" doc:"How it stands."`
	Error      string              `json:"error,omitzero" doc:"Why it was cancelled or has failed, and what to do."`
	AppID      *webhook.TenantID   `json:"appId" doc:"The application; null for several."`
	EndpointID *webhook.EndpointID `json:"endpointId" doc:"The endpoint; null for all of the application."`
	Rate       int                 `json:"rate" doc:"How many deliveries it sends or cancels a second, at most; 0 where it does something else."`
	Examined   int64               `json:"examined" doc:"How many deliveries it has looked at, or applications where it counts."`
	Matched    int64               `json:"matched" doc:"How many of them it is for."`
	Made       int64               `json:"made" doc:"How many it has sent or cancelled, or whose payload it has deleted."`
	Succeeded  int64               `json:"succeeded" doc:"How many of those sent have succeeded."`
	Failed     int64               `json:"failed" doc:"How many of those sent were given up."`
	CreatedAt  instant             `json:"createdAt" doc:"When it was started."`
	EndedAt    *instant            `json:"endedAt" doc:"When it ended."`

	// What it has found, by the names that the published clients tell of.
	MessagesPurged *int64            `json:"messagesPurged,omitzero" doc:"Of an application.purge_content: how many payloads it has deleted."`
	AppStats       []appStatsOut     `json:"appStats,omitzero" doc:"Of an application.stats that has finished; lists of tasks leave it out."`
	EventTypes     []subscriptionOut `json:"event_types,omitzero" doc:"Of an event-type.aggregate that has finished; lists of tasks leave it out."`
}

// appStatsOut is how much was made for an application.
type appStatsOut struct {
	AppID        webhook.TenantID `json:"appId" doc:"The application."`
	AppUID       *string          `json:"appUid" doc:"Its uid."`
	Destinations int64            `json:"messageDestinations" doc:"Deliveries made of its messages: one for each endpoint, however often it was tried."`
}

// subscriptionOut is what the endpoints of an application listen to.
type subscriptionOut struct {
	AppID    webhook.TenantID `json:"appId" doc:"The application."`
	AppUID   *string          `json:"appUid" doc:"Its uid."`
	Types    []string         `json:"explicitlySubscribedEventTypes" doc:"The event types that its endpoints name, disabled ones too."`
	CatchAll bool             `json:"hasCatchAllEndpoint" doc:"Whether one of its endpoints hears of every type."`
}

func showTask(job *webhook.Job) taskOut {
	out := taskOut{
		ID: job.ID, Status: "running", Task: taskNames[job.Kind], UpdatedAt: instant(job.UpdatedAt),
		Data: taskDataOut{
			Kind: job.Kind.String(), State: job.State.String(), Error: job.Error, AppID: unlessZero(job.Tenant), EndpointID: unlessZero(job.Endpoint), Rate: job.Rate,
			Examined: job.Progress.Examined, Matched: job.Progress.Matched, Made: job.Progress.Made,
			Succeeded: job.Progress.Succeeded, Failed: job.Progress.Failed,
			CreatedAt: instant(job.CreatedAt), EndedAt: unlessNever(job.EndedAt),
		},
	}
	out.Data.found(job)
	switch job.State {
	case webhook.JobFinished:
		out.Status = "finished"
	case webhook.JobCancelled, webhook.JobFailed:
		out.Status = "failed"
	}
	return out
}

// found shows what a task has found.
func (out *taskDataOut) found(job *webhook.Job) {
	if job.Kind == webhook.JobExpunge {
		out.MessagesPurged = &out.Made
	}
	for _, of := range job.Usage {
		out.AppStats = append(out.AppStats, appStatsOut{of.Tenant, unlessZero(of.UID), of.Deliveries})
	}
	for _, of := range job.Subscriptions {
		types := of.Types
		if types == nil {
			types = []string{}
		}
		out.EventTypes = append(out.EventTypes, subscriptionOut{of.Tenant, unlessZero(of.UID), types, of.All})
	}
}

func (c *call) task() webhook.JobID { return webhook.JobID(c.req.PathValue("task_id")) }

type tasksQuery struct {
	limited
	Iterator opt[string] `query:"iterator" is:"iterator=qtask_" doc:"The iterator or prevIterator of another page; without one, the first page."`
	Order    opt[string] `query:"order" is:"enum=ascending|descending,default=descending" doc:"By the time of their start."`
	Status   opt[string] `query:"status" is:"enum=running|finished|failed" doc:"Only those that stand so."`
	Task     opt[string] `query:"task" is:"enum=endpoint.recover|endpoint.replay|endpoint.bulk-replay|application.stats|message.broadcast|sdk.generate|event-type.aggregate|application.purge_content" doc:"Only those that do this. There are none of message.broadcast and sdk.generate."`
	App      opt[string] `query:"app_id" is:"slug" doc:"Only those of this application, by its id or uid."`
}

func (q *tasksQuery) filter() (filter neohook.JobFilter, none bool) {
	filter.Tenant = webhook.TenantID(q.App.Value)
	switch q.Status.Value {
	case "running":
		filter.States = []webhook.JobState{webhook.JobRunning}
	case "finished":
		filter.States = []webhook.JobState{webhook.JobFinished}
	case "failed":
		filter.States = []webhook.JobState{webhook.JobCancelled, webhook.JobFailed}
	}
	for kind := webhook.JobRecover; kind <= webhook.JobSubscriptions; kind++ {
		if taskNames[kind] == q.Task.Value {
			filter.Kinds = append(filter.Kinds, kind)
		}
	}
	return filter, q.Task.Given && len(filter.Kinds) == 0
}

func listTasks(c *call, q *tasksQuery, _ *none) (out listOut[taskOut], _ error) {
	w := walkOf(q.Limit, q.Iterator, q.Order.Value != "ascending")
	filter, nothing := q.filter()
	got, err := c.org.Jobs(c.ctx(), filter, w.Page)
	if err != nil {
		return out, badIterator(err)
	}
	if nothing {
		got = neohook.List[webhook.Job]{Done: true}
	}
	return listed(w, got, func(job *webhook.Job) string { return string(job.ID) }, showTask), nil
}

func getTask(c *call, _, _ *none) (out taskOut, _ error) {
	job, err := c.org.Job(c.ctx(), c.task())
	if err != nil {
		return out, err
	}
	return showTask(&job), nil
}

func cancelTask(c *call, _, _ *none) (out taskOut, _ error) {
	job, err := c.org.CancelJob(c.ctx(), c.task())
	if err != nil {
		return out, err
	}
	return showTask(&job), nil
}
