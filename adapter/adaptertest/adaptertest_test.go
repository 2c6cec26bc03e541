package adaptertest_test

import (
	"testing"

	"github.com/neohook/neohook/adapter/adaptertest"
)

func TestMemadapter(t *testing.T)  { adaptertest.Run(t, adaptertest.Memory) }
func TestHTTPAdapter(t *testing.T) { adaptertest.Run(t, adaptertest.HTTP) }
