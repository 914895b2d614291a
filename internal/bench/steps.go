package bench

import (
	"errors"
	"fmt"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/orchestrator"
)

// stepRow is what a step costs in runs of one length.
type stepRow struct {
	Steps   int `json:"steps"`
	Rounds  int `json:"rounds"`
	PerTurn int `json:"runs_per_round"` // of each side

	Ratio      spread `json:"cpu_ratio"`          // Fermata to the floor, round by round
	CPU        spread `json:"cpu_us"`             // of Fermata's process, per step
	FloorCPU   spread `json:"floor_cpu_us"`       //
	Wall       spread `json:"wall_us"`            // per step, one run at a time
	FloorWall  spread `json:"floor_wall_us"`      //
	Added      spread `json:"added_wall_us"`      // Wall less FloorWall, round by round
	RedisCPU   spread `json:"redis_cpu_us"`       // of the server, per step
	FloorRedis spread `json:"floor_redis_cpu_us"` //

	Append float64 `json:"append_us"` // a round trip: the floor's append, the median

	Commits       float64 `json:"commits"` // per step, as all below
	Reads         float64 `json:"reads"`   // of logs
	Trips         float64 `json:"round_trips"`
	FloorTrips    float64 `json:"floor_round_trips"`
	Commands      float64 `json:"commands"` // of Redis, those within scripts included
	ByName        string  `json:"commands_by_name"`
	Records       float64 `json:"records"`
	LogBytes      float64 `json:"log_bytes"`
	RedisBytes    float64 `json:"redis_bytes"`
	FloorBytes    float64 `json:"floor_redis_bytes"`
	MessagesBytes float64 `json:"message_bytes"` // of what is said, as chat completions encode it
}

// A contest is both sides, ready to do the same work in turn.
type contest struct {
	*bed
	task   *task
	worker *worker
	floor  *floor
	ids    counter
}

// newContest makes both sides ready for runs of d.Lengths. The caller closes the
// store.
func newContest(d *bed) (*contest, *counted, error) {
	store, err := d.open()
	if err != nil {
		return nil, nil, err
	}
	c := &contest{bed: d, task: new(task)}
	var agents []*agent.Agent
	for _, n := range d.Lengths {
		agents = append(agents, c.task.looper(n, d.asks, d.asks.transport()))
	}
	if c.worker, err = newWorker(store, agents, 0, 0); err != nil {
		return nil, nil, errors.Join(err, store.Close())
	}
	c.floor = newFloor(c.task, d.asks, d.asks.transport(), d.server.client)
	return c, store, nil
}

func measureSteps(d *bed) error {
	c, store, err := newContest(d)
	if err != nil {
		return err
	}
	defer store.Close()
	var rows []stepRow
	for _, n := range d.Lengths {
		row, err := c.length(n)
		if err != nil {
			return fmt.Errorf("%s: %w", loopName(n), err)
		}
		rows = append(rows, row)
	}
	pings, err := d.server.ping(d.ctx, 500)
	if err != nil {
		return err
	}
	if err := c.worker.log.err(); err != nil {
		return err
	}
	d.report.steps(rows, median(pings), d.shared)
	return nil
}

// rounds returns how many rounds there are, and how many runs each side makes
// in one: more of what is short.
func (b *Bench) rounds(n int) (rounds, runs int) {
	rounds, runs = max(3, min(15, 1500/n)), max(1, 100/n)
	if b.Rounds > 0 {
		rounds = b.Rounds
	}
	return rounds, runs
}

// length measures runs of n steps.
func (c *contest) length(n int) (row stepRow, err error) {
	rounds, runs := c.rounds(n)
	row = stepRow{Steps: n, Rounds: rounds, PerTurn: runs}
	c.progress("%s: %d rounds of %d runs on each side", loopName(n), rounds, runs)
	if _, err := c.floorTurn(n, 1); err != nil { // to warm up
		return row, err
	}
	if _, err := c.fermataTurn(n, 1); err != nil {
		return row, err
	}
	before, err := c.server.kept(c.ctx)
	if err != nil {
		return row, err
	}
	c.floor.meter = newMeter()
	counted := c.worker.store.tally()
	var ratio, cpu, floorCPU, wall, floorWall, added, redis, floorRedis []float64
	var all, floorAll counters
	all.ByName = map[string]int64{}
	per := func(d time.Duration) float64 { return micros(d) / float64(n*runs) }
	for range rounds {
		f, err := c.floorTurn(n, runs)
		if err != nil {
			return row, err
		}
		s, err := c.fermataTurn(n, runs)
		if err != nil {
			return row, err
		}
		ratio = append(ratio, float64(s.CPU)/float64(f.CPU))
		cpu, floorCPU = append(cpu, per(s.CPU)), append(floorCPU, per(f.CPU))
		wall, floorWall = append(wall, per(s.Wall)), append(floorWall, per(f.Wall))
		added = append(added, per(s.Wall-f.Wall))
		redis, floorRedis = append(redis, per(s.Server.CPU)), append(floorRedis, per(f.Server.CPU))
		all.add(s.Server)
		floorAll.add(f.Server)
	}
	after, err := c.server.kept(c.ctx)
	if err != nil {
		return row, err
	}
	row.Ratio, row.CPU, row.FloorCPU = spreadOf(ratio), spreadOf(cpu), spreadOf(floorCPU)
	row.Wall, row.FloorWall, row.Added = spreadOf(wall), spreadOf(floorWall), spreadOf(added)
	row.RedisCPU, row.FloorRedis = spreadOf(redis), spreadOf(floorRedis)
	row.Append = micros(median(c.floor.meter.appends))
	steps := float64(rounds * runs * n)
	t := c.worker.store.tally().minus(counted)
	row.Commits, row.Reads, row.Records, row.LogBytes = float64(t.Commits)/steps, float64(t.Reads)/steps, float64(t.Records)/steps, float64(t.RecordBytes)/steps
	row.Trips, row.FloorTrips, row.Commands = float64(all.Reads)/steps, float64(floorAll.Reads)/steps, float64(all.Commands)/steps
	row.ByName = all.names(rounds * runs * n)
	row.RedisBytes, row.FloorBytes = float64(after.fermata-before.fermata)/steps, float64(after.floor-before.floor)/steps
	row.MessagesBytes, err = c.messageBytes(n)
	return row, err
}

// floorTurn has the floor make runs of n steps, one after the other.
func (c *contest) floorTurn(n, runs int) (spent, error) {
	made := c.task.calls.Load()
	s, err := c.measure(func() error {
		for range runs {
			if err := c.floor.converse(c.ctx, n, c.ids.next(loopName(n))); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return s, err
	}
	return s, c.task.check(made, n*runs, "the floor")
}

// fermataTurn has Fermata make runs of n steps, one after the other, each from
// its start until its end is durable.
func (c *contest) fermataTurn(n, runs int) (spent, error) {
	made := c.task.calls.Load()
	c.worker.start(c.ctx)
	defer c.worker.stop()
	s, err := c.measure(func() error {
		for range runs {
			batch := c.worker.store.expect(1, agent.StatusIdle)
			if _, err := c.worker.orch.Start(c.ctx, orchestrator.Request{Agent: loopName(n), Message: agent.Text(request)}); err != nil {
				return err
			}
			if err := c.worker.store.wait(c.ctx, batch); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return s, err
	}
	return s, c.task.check(made, n*runs, "Fermata")
}

// check checks that the tool was called as often as it should have been.
func (t *task) check(before int64, want int, side string) error {
	if got := t.calls.Load() - before; got != int64(want) {
		return fmt.Errorf("%s made %d calls, and %d were to be made", side, got, want)
	}
	return nil
}

// messageBytes returns how many bytes per step the messages of a conversation of
// the floor have.
func (c *contest) messageBytes(n int) (float64, error) {
	key := floorPrefix + fmt.Sprintf("%s-%d", loopName(n), c.ids.n)
	values, err := c.server.client.LRange(c.ctx, key, 0, -1).Result()
	if err != nil {
		return 0, err
	}
	if len(values) != 2*n+1 {
		return 0, fmt.Errorf("a conversation of the floor has kept %d messages, and %d were said", len(values), 2*n+1)
	}
	size := 0
	for _, v := range values {
		size += len(v)
	}
	return float64(size) / float64(n), nil
}

// add adds up what two turns took.
func (c *counters) add(d counters) {
	c.Reads += d.Reads
	c.Commands += d.Commands
	c.CPU += d.CPU
	for name, n := range d.ByName {
		if c.ByName != nil {
			c.ByName[name] += n
		}
	}
}

// cpuGoals are the limits of the ratio of CPU, by length.
var cpuGoals = map[int]float64{10: 1.25, 50: 0.7, 200: 0.3}

// steps prints the figure.
func (r *report) steps(list []stepRow, ping time.Duration, shared bool) {
	rows(r, "", list)
	table(r, "CPU of this process per step, in µs: the ratio is the median of the rounds, with its quartiles", "steps|rounds|fermata|floor|ratio|q1|q3", list, func(s stepRow) []string {
		return []string{number(float64(s.Steps)), fmt.Sprint(s.Rounds), number(s.CPU.Median), number(s.FloorCPU.Median),
			number(s.Ratio.Median), number(s.Ratio.Low), number(s.Ratio.High)}
	})
	table(r, "Time per step, one run at a time, and CPU of Redis per step, in µs", "steps|fermata|floor|added|q1|q3|floor's append|redis: fermata|redis: floor", list, func(s stepRow) []string {
		return []string{number(float64(s.Steps)), number(s.Wall.Median), number(s.FloorWall.Median), number(s.Added.Median),
			number(s.Added.Low), number(s.Added.High), number(s.Append), number(s.RedisCPU.Median), number(s.FloorRedis.Median)}
	})
	r.note("a round trip to Redis is the floor's append; a PING takes %s µs", number(micros(ping)))
	table(r, "Per step: commits, records, reads of logs, round trips to Redis (reads of the server), commands (with those within scripts)", "steps|commits|records|reads|trips|trips: floor|commands", list, func(s stepRow) []string {
		return []string{number(float64(s.Steps)), number(s.Commits), number(s.Records), number(s.Reads), number(s.Trips), number(s.FloorTrips), number(s.Commands)}
	})
	for _, s := range list {
		r.note("%s: %s", number(float64(s.Steps)), s.ByName)
	}
	table(r, "Bytes per step: of the messages, of the log's records, of all keys in Redis (MEMORY USAGE)", "steps|messages|log|redis|floor in redis", list, func(s stepRow) []string {
		return []string{number(float64(s.Steps)), number(s.MessagesBytes), number(s.LogBytes), number(s.RedisBytes), number(s.FloorBytes)}
	})
	byLength := map[int]stepRow{}
	for _, s := range list {
		byLength[s.Steps] = s
		if limit, ok := cpuGoals[s.Steps]; ok {
			r.atMost(limit, s.Ratio.Median, " ×", fmt.Sprintf("CPU per step of %d, beside the floor", s.Steps))
		}
	}
	for _, s := range list {
		r.atMost(1, s.Added.Median/s.Append, " round trips", fmt.Sprintf("time added per step of %d, in appends of the floor", s.Steps))
	}
	short, long := byLength[10], byLength[1000]
	if short.Steps > 0 && long.Steps > 0 {
		if shared {
			r.atMost(1.1, long.RedisBytes/short.RedisBytes, " ×", "bytes in Redis per step of 1,000, beside 10")
		} else {
			r.atMost(1.1, long.LogBytes/short.LogBytes, " ×", "bytes in the log per step of 1,000, beside 10")
		}
	}
}
