package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

// receiverProcess is the receiver, from the side of whoever started it.
type receiverProcess struct {
	address string
	command *exec.Cmd
	in      io.WriteCloser
	out     *json.Decoder
}

func startReceiver(ctx context.Context) (*receiverProcess, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	command := exec.CommandContext(ctx, self, receiveCommand)
	command.Stderr = os.Stderr
	in, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, err
	}
	p := &receiverProcess{command: command, in: in, out: json.NewDecoder(out)}
	if err := p.out.Decode(&p.address); err != nil {
		return nil, err
	}
	return p, nil
}

func (p *receiverProcess) ask(question string) (arrivals, error) {
	if _, err := fmt.Fprintln(p.in, question); err != nil {
		return arrivals{}, err
	}
	var now arrivals
	return now, p.out.Decode(&now)
}

// await waits until want events have arrived, as long as some keep coming.
func (p *receiverProcess) await(ctx context.Context, want int) (arrivals, error) {
	const patience = 30 * time.Second
	before, since := -1, time.Now()
	for {
		now, err := p.ask("count")
		if err != nil || now.Distinct >= want {
			return now, err
		}
		if now.Distinct > before {
			before, since = now.Distinct, time.Now()
		}
		if time.Since(since) > patience {
			return now, fmt.Errorf("%d of %d events arrived, and none for %v", now.Distinct, want, patience)
		}
		select {
		case <-ctx.Done():
			return now, ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// settle waits until all requests that are due have come.
func (p *receiverProcess) settle(ctx context.Context, requests int) (arrivals, error) {
	for range 500 {
		now, err := p.ask("count")
		if err != nil || now.Requests >= requests {
			return now, err
		}
		select {
		case <-ctx.Done():
			return now, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
	return p.ask("count")
}

func (p *receiverProcess) stop() {
	_ = p.in.Close()
	_ = p.command.Wait()
}
