package postgres

import "github.com/neohook/neohook/store"

var _ store.Store = (*Store)(nil)
