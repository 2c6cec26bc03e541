package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/neohook/neohook/store"
)

// TestListsReadNoMoreThanTheyShow has the server tell what each statement of each list has
// read, with plans for its values and with plans for any: with those that were made while
// the tables were small, when they have grown and the server has not counted their rows, and
// once it has.
func TestListsReadNoMoreThanTheyShow(t *testing.T) {
	const rows, few = 20_000, 400
	l := openLarge(t, rows, few)
	explain := &explainer{T: t, large: l, prepared: make(map[string]string)}
	conn, err := l.pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Release)
	explain.conn = conn.Conn()
	explain.every("small")
	l.fill(t, few+1, 2*rows)
	explain.every("grown")
	l.exec(t, "ANALYZE")
	explain.every("counted")
}

// explainer judges the statements of lists.
type explainer struct {
	*testing.T
	*large
	conn     *pgx.Conn
	prepared map[string]string // names of statements
}

// every looks at every list, both ways, at its beginning and deep in it.
func (e *explainer) every(when string) {
	e.Helper()
	const limit = 20
	for name, ask := range e.lists() {
		for _, page := range []store.Page{
			{Limit: limit}, {Limit: limit, Descending: true},
			{Limit: limit, After: int64(e.rows)}, {Limit: limit, After: int64(e.rows), Descending: true},
		} {
			e.traced.made = nil
			examined, err := ask(e.Context(), page)
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				e.Fatalf("%s: %v", name, err)
			}
			for _, made := range e.traced.made {
				for _, mode := range []string{"force_generic_plan", "force_custom_plan"} {
					e.judge(fmt.Sprintf("%s, tables %s, %+v, %s", name, when, page, mode), mode, made, max(limit, examined)+1)
				}
			}
		}
	}
}

// judge runs a statement, and complains where it has read or sorted too much for so many
// rows.
func (e *explainer) judge(what, mode string, made pgx.TraceQueryStartData, rows int) {
	e.Helper()
	if !strings.HasPrefix(made.SQL, "SELECT") && !strings.HasPrefix(made.SQL, "WITH") && !strings.HasPrefix(made.SQL, "(") {
		return // it begins or ends a transaction
	}
	ran := e.explain(mode, made)
	const (
		ofRow   = 6  // blocks of an index and a table, for each row
		ofRange = 4  // to find out that there is nothing more in it
		ofDate  = 20 // times that the keys are halved to find a time
		tables  = 3  // that are put in one order
	)
	switch most := ofRow*rows + (ofRange+ofDate)*(largeRanges+1); {
	case ran.blocks() > most:
		e.Errorf("%s: %d blocks, at most %d are read by\n%s\n%s", what, ran.blocks(), most, made.SQL, ran)
	case ran.vain() > tables*rows:
		e.Errorf("%s: %d rows are read in vain or sorted by\n%s\n%s", what, ran.vain(), made.SQL, ran)
	}
}

type ranPlan struct {
	NodeType  string `json:"Node Type"`
	Index     string `json:"Index Name"`
	Table     string `json:"Relation Name"`
	Condition string `json:"Index Cond"`
	Filter    string
	Hit       int     `json:"Shared Hit Blocks"`
	Read      int     `json:"Shared Read Blocks"`
	RemovedBy float64 `json:"Rows Removed by Filter"`
	Rechecked float64 `json:"Rows Removed by Index Recheck"`
	Loops     float64 `json:"Actual Loops"`
	Rows      float64 `json:"Actual Rows"`
	Plans     []ranPlan
}

// String tells the plan and what each part of it has read.
func (p *ranPlan) String() string {
	var text strings.Builder
	p.write(&text, "\t")
	return text.String()
}

func (p *ranPlan) write(text *strings.Builder, indent string) {
	fmt.Fprintf(text, "\n%s%s", indent, p.NodeType)
	for _, of := range []string{p.Index, p.Table, p.Condition, p.Filter} {
		if of != "" {
			text.WriteString(" " + of)
		}
	}
	fmt.Fprintf(text, ": %.0f rows, %.0f times, %d blocks", p.Rows, p.Loops, p.blocks())
	for i := range p.Plans {
		p.Plans[i].write(text, indent+"  ")
	}
}

func (p *ranPlan) blocks() int { return p.Hit + p.Read }

// vain counts the rows that were read in vain, and those that were sorted.
func (p *ranPlan) vain() int {
	sum := int((p.RemovedBy + p.Rechecked) * p.Loops)
	for i := range p.Plans {
		if p.NodeType == "Sort" {
			sum += int(p.Plans[i].Rows * p.Plans[i].Loops)
		}
		sum += p.Plans[i].vain()
	}
	return sum
}

func (e *explainer) explain(mode string, made pgx.TraceQueryStartData) *ranPlan {
	e.Helper()
	ctx := e.Context()
	run := func(query string) {
		e.Helper()
		if _, err := e.conn.Exec(ctx, query); err != nil {
			e.Fatalf("%s: %v", query, err)
		}
	}
	run("SET plan_cache_mode = " + mode)
	if e.prepared[made.SQL] == "" {
		e.prepared[made.SQL] = fmt.Sprint("judged", len(e.prepared))
		run("PREPARE " + e.prepared[made.SQL] + " AS " + made.SQL)
	}
	query := "EXPLAIN (ANALYZE, BUFFERS, TIMING off, FORMAT json) EXECUTE " + e.prepared[made.SQL] + e.values(ctx, made)
	var text string
	if err := e.conn.QueryRow(ctx, query, pgx.QueryExecModeSimpleProtocol).Scan(&text); err != nil {
		e.Fatalf("%s: %v", query, err)
	}
	var ran []struct{ Plan ranPlan }
	if err := json.Unmarshal([]byte(text), &ran); err != nil {
		e.Fatal(err)
	}
	return &ran[0].Plan
}

// values writes the arguments of a statement out.
func (e *explainer) values(ctx context.Context, made pgx.TraceQueryStartData) string {
	e.Helper()
	if len(made.Args) == 0 {
		return ""
	}
	described, err := e.conn.Prepare(ctx, "", made.SQL)
	if err != nil {
		e.Fatal(err)
	}
	values := make([]string, len(made.Args))
	for i, arg := range made.Args {
		text, err := e.conn.TypeMap().Encode(described.ParamOIDs[i], pgtype.TextFormatCode, arg, nil)
		if err != nil {
			e.Fatalf("%s: argument %d: %v", made.SQL, i+1, err)
		}
		values[i] = "NULL"
		if text != nil {
			values[i] = "'" + strings.ReplaceAll(string(text), "'", "''") + "'"
		}
	}
	return "(" + strings.Join(values, ", ") + ")"
}
