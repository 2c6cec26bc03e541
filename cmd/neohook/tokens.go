package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/neohook/neohook/access"
)

// tokenCommands are all that is done with tokens of the API.
type tokenCommands struct {
	Show   tokenCommand  `cmd:"" default:"withargs" help:"Print the token that comes with a data folder (without a command, too)."`
	Create createCommand `cmd:"" help:"Make a token for a program and print it. It can't be printed again."`
	List   listCommand   `cmd:"" help:"List the tokens, without their texts."`
	Revoke revokeCommand `cmd:"" help:"Revoke a token by its id."`
}

// keysetSettings say what seals the secrets of a folder.
type keysetSettings struct {
	KeysetFile string `placeholder:"FILE" help:"File of the key set that seals secrets in the database. Default: beside the database, made at the first start."`
	Keyset     string `placeholder:"JSON" secret:"" hidden:"" help:"The key set itself, a Tink keyset in JSON; wins over keyset-file."`
}

// tokenPlace says where the tokens are that a command is about. Whether a server runs on
// the folder makes no difference.
type tokenPlace struct {
	place
	keysetSettings

	Organisation string `placeholder:"ORG" help:"Organisation whose tokens are meant, as org_acme. Default: the server's own."`
}

// path adds the organisation to a path of the API.
func (p *tokenPlace) path(path string, query url.Values) string {
	if p.Organisation != "" {
		query.Set("organisation", p.Organisation)
	}
	if len(query) == 0 {
		return path
	}
	return path + "?" + query.Encode()
}

// reaching calls do with a way to the API.
func (p *tokenPlace) reaching(ctx context.Context, do func(*reach) error) (err error) {
	way, err := openReach(ctx, p.place, p.keysetSettings)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, way.close()) }()
	return do(way)
}

// scopeName is a scope of package access.
type scopeName access.Scope

func (s *scopeName) UnmarshalText(text []byte) error {
	if !slices.Contains(access.Scopes(), access.Scope(text)) {
		return fmt.Errorf("%q is not one of admin, publish, read", text)
	}
	*s = scopeName(text)
	return nil
}

// createCommand makes a token.
type createCommand struct {
	tokenPlace

	Scope  []scopeName `required:"" placeholder:"SCOPE" help:"What the token is for: admin (everything), publish (sending messages, reading nothing) or read (all that is no secret). May be repeated."`
	Name   string      `placeholder:"TEXT" help:"For people, to tell whose it is."`
	App    string      `placeholder:"APP" help:"The only application that there is for it, by id or uid."`
	Expiry span        `placeholder:"TIME" help:"For how long it is valid, as 720h. Default: for ever."`
}

// tokenShown is a token as the API shows it.
type tokenShown struct {
	ID        string     `json:"id"`
	Name      string     `json:"name"`
	Scopes    []string   `json:"scopes"`
	Portal    bool       `json:"portal"`
	AppID     *string    `json:"appId"`
	CreatedAt time.Time  `json:"createdAt"`
	ExpiresAt *time.Time `json:"expiresAt"`
	Token     string     `json:"token,omitempty"`
}

func (c *createCommand) run(ctx context.Context, console console) error {
	asked := map[string]any{"scopes": c.Scope, "name": c.Name}
	if c.App != "" {
		asked["appId"] = c.App
	}
	if c.Expiry != 0 {
		asked["expiry"] = int64(time.Duration(c.Expiry) / time.Second)
	}
	return c.reaching(ctx, func(way *reach) error {
		var made tokenShown
		if err := way.ask(ctx, http.MethodPost, c.path("/auth/token", url.Values{}), asked, &made); err != nil {
			return err
		}
		// The id goes elsewhere, so that a script has the token alone.
		_, _ = fmt.Fprintf(console.err, "Token %s is made. To end it: neohook token revoke --data %s %s\n", made.ID, quote(string(c.Data)), made.ID)
		_, err := fmt.Fprintln(console.out, made.Token)
		return err
	})
}

// listCommand lists tokens.
type listCommand struct {
	tokenPlace

	App    string `placeholder:"APP" help:"List those for this application only."`
	Portal bool   `help:"List those made for the users of applications, in place of those for programs."`
}

func (c *listCommand) run(ctx context.Context, console console) error {
	return c.reaching(ctx, func(way *reach) error {
		show := showTokenLines
		if console.terminal {
			show = showTokenTable
		}
		var all []tokenShown
		query := url.Values{"limit": {"250"}, "order": {"ascending"}}
		if c.App != "" {
			query.Set("app_id", c.App)
		}
		if c.Portal {
			query.Set("portal", "true")
		}
		for {
			var page struct {
				Data     []tokenShown
				Iterator *string
				Done     bool
			}
			if err := way.ask(ctx, http.MethodGet, c.path("/auth/token", query), nil, &page); err != nil {
				return err
			}
			all = append(all, page.Data...)
			if page.Done || page.Iterator == nil {
				return show(console.out, all)
			}
			query.Set("iterator", *page.Iterator)
		}
	})
}

// showTokenLines is for programs: a token a line.
func showTokenLines(out io.Writer, tokens []tokenShown) error {
	encoder := json.NewEncoder(out)
	for i := range tokens {
		if err := encoder.Encode(&tokens[i]); err != nil {
			return err
		}
	}
	return nil
}

// showTokenTable is for people.
func showTokenTable(out io.Writer, tokens []tokenShown) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "ID\tNAME\tFOR\tAPPLICATION\tCREATED\tEXPIRES")
	for i := range tokens {
		t := &tokens[i]
		purpose, app, expires := strings.Join(t.Scopes, ", "), "all", "never"
		if t.Portal {
			purpose = "portal"
		}
		if t.AppID != nil {
			app = *t.AppID
		}
		if t.ExpiresAt != nil {
			expires = t.ExpiresAt.Format(time.RFC3339)
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", t.ID, harmless(t.Name), purpose, app, t.CreatedAt.Format(time.RFC3339), expires)
	}
	return table.Flush()
}

// revokeCommand ends a token.
type revokeCommand struct {
	tokenPlace

	ID string `arg:"" placeholder:"ID" help:"The token's id, as list shows it."`
}

func (c *revokeCommand) run(ctx context.Context, _ console) error {
	return c.reaching(ctx, func(way *reach) error {
		return way.ask(ctx, http.MethodDelete, c.path("/auth/token/"+url.PathEscape(c.ID), url.Values{}), nil, nil)
	})
}
