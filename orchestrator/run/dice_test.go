package run_test

// dice makes the choices of a simulated world. Everything that happens there
// follows from their seed (splitmix64).
type dice struct{ state uint64 }

func (d *dice) roll() uint64 {
	d.state += 0x9e3779b97f4a7c15
	z := d.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// upTo returns a number from 0 to n-1.
func (d *dice) upTo(n int) int { return int(d.roll() % uint64(n)) }

// percent is true in p of a hundred cases.
func (d *dice) percent(p int) bool { return d.upTo(100) < p }

// pick returns one of the choices.
func pick[T any](d *dice, choices ...T) T { return choices[d.upTo(len(choices))] }

// weighted returns an index, each as often as its weight says.
func (d *dice) weighted(weights ...int) int {
	sum := 0
	for _, w := range weights {
		sum += w
	}
	at := d.upTo(sum)
	for i, w := range weights {
		if at -= w; at < 0 {
			return i
		}
	}
	panic("unreachable: the weights add up")
}
