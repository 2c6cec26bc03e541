//go:build unix

package shop

import (
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/adapter/memadapter"
	"github.com/neohook/neohook/internal/killed"
)

// TestKilledShopTellsOfItsOrdersOnceEach kills a program with SIGKILL while four of its
// goroutines store orders with their events, and its engine accepts them, several times
// over the same database. In the end each order that is stored was told of once, each that
// was acknowledged is stored, and none that was given up is.
func TestKilledShopTellsOfItsOrdersOnceEach(t *testing.T) {
	if folder := killed.Place(); folder != "" {
		sellForever(t, folder, openers[os.Getenv("NEOHOOK_TEST_STORE")])
		return // it failed
	}
	for name, open := range openers {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			first := open.open(t, folder, neohook.Options{Adapter: memadapter.New()})
			first.begin(t)
			first.close()
			var acknowledged []int64
			for _, lines := range []int{500, 1, 30, 120} {
				acknowledged = append(acknowledged, kill(t, folder, name, lines)...)
			}
			s := open.open(t, folder, neohook.Options{Adapter: memadapter.New()})
			stored := s.orders(t)
			waiting, err := s.store.CountOutbox(t.Context(), 10_000)
			if err != nil {
				t.Fatal(err)
			}
			stop := s.run(t)
			s.settle(t)
			if after := s.same(t); !slices.Equal(after, stored) {
				t.Errorf("%d orders were stored, and %d are", len(stored), len(after))
			}
			for _, number := range acknowledged {
				if _, found := slices.BinarySearch(stored, number); !found {
					t.Errorf("order %d was acknowledged, and is not stored", number)
				}
			}
			for _, number := range stored {
				if isGivenUp(number) {
					t.Errorf("order %d was given up, and is stored", number)
				}
			}
			t.Logf("%d orders, %d acknowledged, %d in the outbox after the last kill", len(stored), len(acknowledged), waiting)
			stop()
		})
	}
}

func isGivenUp(number int64) bool { return number%5 == 0 }

// sellForever goes on where an earlier process was killed, a line for each order.
func sellForever(t *testing.T, folder string, open opener) {
	s := open.open(t, folder, neohook.Options{Adapter: memadapter.New()})
	s.run(t)
	var last int64 // of this process alone: it begins behind all others
	if orders := s.orders(t); len(orders) > 0 {
		last = orders[len(orders)-1]
	}
	var selling sync.WaitGroup
	for seller := range int64(4) {
		selling.Go(func() {
			for number := last + 10 + seller; ; number += 4 {
				if err := s.order(t.Context(), number, isGivenUp(number)); err != nil {
					t.Errorf("order %d: %v", number, err)
					return
				}
				if !isGivenUp(number) {
					fmt.Println("order", number)
				}
			}
		})
	}
	selling.Wait()
}

// kill lets a program run, kills it after so many orders, and returns which they were.
func kill(t *testing.T, folder, name string, lines int) (numbers []int64) {
	t.Helper()
	variables := append(environment(t), "NEOHOOK_TEST_STORE="+name)
	for _, line := range killed.After(t, folder, lines, variables...) {
		var number int64
		if _, err := fmt.Sscanf(line, "order %d", &number); err != nil {
			t.Errorf("the program says %q", line)
		}
		numbers = append(numbers, number)
	}
	return numbers
}
