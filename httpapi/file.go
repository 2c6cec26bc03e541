package httpapi

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
)

// file is an answer that is the same for everybody, and is made once.
type file struct {
	media         string
	tag           string // an entity tag, quoted
	plain, zipped []byte
	// policy is a Content-Security-Policy; "" is none.
	policy string
}

func newFile(media string, text []byte) *file {
	var zipped bytes.Buffer
	zip, _ := gzip.NewWriterLevel(&zipped, gzip.BestCompression)
	_, _ = zip.Write(text) // a buffer takes everything
	_ = zip.Close()
	sum := sha256.Sum256(text)
	return &file{media: media, tag: `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`, plain: text, zipped: zipped.Bytes()}
}

// serve answers with the file, or with 304 to who has it.
func (f *file) serve(w http.ResponseWriter, r *http.Request, status int) int {
	header := w.Header()
	header.Set("Cache-Control", "no-cache") // may be kept, and is asked for anew
	header.Set("ETag", f.tag)
	header.Set("Vary", "Accept-Encoding")
	if f.policy != "" {
		header.Set("Content-Security-Policy", f.policy)
		header.Set("Referrer-Policy", "no-referrer")
	}
	if strings.Contains(r.Header.Get("If-None-Match"), f.tag) {
		w.WriteHeader(http.StatusNotModified)
		return http.StatusNotModified
	}
	text := f.plain
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		header.Set("Content-Encoding", "gzip")
		text = f.zipped
	}
	header.Set("Content-Type", f.media)
	header.Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(text) // the client has gone: nobody is left to tell
	}
	return status
}
