package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// fleet is servers on one database. They come and go at its end.
type fleet struct {
	binary   string
	folder   string // of theirs
	database *database
	flags    []string
	servers  []*server
}

// resize starts or stops servers until there are so many, and waits until they have shared
// out who sends for whom.
func (f *fleet) resize(ctx context.Context, count int) error {
	for len(f.servers) > count {
		last := len(f.servers) - 1
		f.servers[last].stop()
		f.servers = f.servers[:last]
	}
	for len(f.servers) < count {
		folder := filepath.Join(f.folder, fmt.Sprint("node-", len(f.servers)))
		if err := f.prepare(folder); err != nil {
			return err
		}
		s, err := startServer(ctx, f.binary, folder, f.flags...)
		if err != nil {
			return err
		}
		f.servers = append(f.servers, s)
	}
	return f.awaitShares(ctx)
}

// prepare gives a server the files of the first one.
func (f *fleet) prepare(folder string) error {
	if err := os.MkdirAll(folder, 0o700); err != nil || len(f.servers) == 0 {
		return err
	}
	for _, name := range []string{keysetFile, tokenFile} {
		text, err := os.ReadFile(filepath.Join(f.folder, "node-0", name))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(folder, name), text, 0o600); err != nil {
			return err
		}
	}
	return nil
}

const sharesSQL = `SELECT count(*), coalesce(max(own) - min(own), 0) <= 1, coalesce(sum(own), 0) = (SELECT count(*) FROM neohook.bucket)
	FROM (SELECT count(*) AS own FROM neohook.bucket WHERE node IS NOT NULL GROUP BY node) AS share`

func (f *fleet) awaitShares(ctx context.Context) error {
	const often, most = 50 * time.Millisecond, 30 * time.Second
	for began := time.Now(); time.Since(began) < most; {
		var count int
		var even, all bool
		if err := f.database.stats.QueryRow(ctx, sharesSQL).Scan(&count, &even, &all); err != nil {
			return err
		}
		if count == len(f.servers) && even && all {
			// Owners read what is open before they send.
			return pause(ctx, 20*often)
		}
		if err := pause(ctx, often); err != nil {
			return err
		}
	}
	return fmt.Errorf("%d servers have not shared out the tenants within %v", len(f.servers), most)
}

// cpu is the processor time that all that are there have used.
func (f *fleet) cpu() (sum time.Duration, err error) {
	for _, s := range f.servers {
		used, err := s.cpu()
		if err != nil {
			return 0, err
		}
		sum += used
	}
	return sum, nil
}

// stop ends all, and removes their files.
func (f *fleet) stop() {
	for _, s := range f.servers {
		s.stop()
	}
	f.servers = nil
}
