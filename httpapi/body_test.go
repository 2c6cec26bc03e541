package httpapi

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
)

// at tells a fault in one line.
func (f fault) at() string { return strings.Join(f.Loc, "/") + " " + f.Type + ": " + f.Msg }

func TestBodyFaultsNameTheField(t *testing.T) {
	tests := map[string]struct {
		into any
		body string
		want []string
	}{
		"nothing":             {new(applicationIn), " \n", []string{"body value_error.jsondecode: must be a JSON object, and is empty"}},
		"not an object":       {new(applicationIn), `[]`, []string{"body value_error.jsondecode: must be an object"}},
		"null":                {new(applicationIn), `null`, []string{"body value_error.jsondecode: must be an object"}},
		"a fraction":          {new(applicationIn), `{"name":"x","throttleRate":2.5}`, []string{"body/throttleRate value_error.jsondecode: must be a whole number"}},
		"cut":                 {new(applicationIn), `{"name":"x"`, []string{"body value_error.jsondecode: malformed JSON at byte 11: unexpected EOF"}},
		"more behind it":      {new(applicationIn), `{"name":"x"} {}`, []string{"body value_error.jsondecode: malformed JSON at byte 13: invalid character '{' after top-level value"}},
		"not UTF-8":           {new(applicationIn), "{\"name\":\"\xff\"}", []string{"body value_error.jsondecode: is not UTF-8"}},
		"missing":             {new(applicationIn), `{}`, []string{"body/name value_error.jsondecode: is required"}},
		"null where needed":   {new(applicationIn), `{"name":null}`, []string{"body/name value_error.jsondecode: must not be null"}},
		"wrong kind":          {new(applicationIn), `{"name":5}`, []string{"body/name value_error.jsondecode: must be a string"}},
		"a part of a number":  {new(applicationIn), `{"name":"x","rateLimit":1.5}`, []string{"body/rateLimit value_error.jsondecode: must be a whole number"}},
		"a huge number":       {new(applicationIn), `{"name":"x","throttleRate":1e99}`, []string{"body/throttleRate value_error.jsondecode: must be a whole number"}},
		"a number as text":    {new(applicationIn), `{"name":"x","throttleRate":"5"}`, []string{"body/throttleRate value_error.jsondecode: must be a whole number"}},
		"twice":               {new(applicationIn), `{"name":"x","name":"y"}`, []string{"body/name value_error.jsondecode: is there twice"}},
		"map of numbers":      {new(applicationIn), `{"name":"x","metadata":{"a":1}}`, []string{"body/metadata/a value_error.jsondecode: must be a string"}},
		"map of nulls":        {new(applicationIn), `{"name":"x","metadata":{"a":null}}`, []string{"body/metadata/a value_error.jsondecode: must be a string"}},
		"list item":           {new(endpointIn), `{"url":"http://a","channels":["a",5]}`, []string{"body/channels/[1] value_error.jsondecode: must be a string"}},
		"null in a list":      {new(endpointIn), `{"url":"http://a","channels":[null]}`, []string{"body/channels/[0] value_error.jsondecode: must be a string"}},
		"list is none":        {new(endpointIn), `{"url":"http://a","filterTypes":"a"}`, []string{"body/filterTypes value_error.jsondecode: must be an array"}},
		"bool is none":        {new(endpointIn), `{"url":"http://a","disabled":"yes"}`, []string{"body/disabled value_error.jsondecode: must be true or false"}},
		"nested too deep":     {new(messageIn), `{"eventType":"a","payload":{"a":` + strings.Repeat("[", 1<<20) + `}}`, []string{"body/payload/a" + strings.Repeat("/0", maxLoc-3) + "/... value_error.jsondecode: malformed JSON at byte 10030: exceeded max depth"}},
		"twice in a payload":  {new(messageIn), `{"eventType":"a","payload":{"l":[{"x":1,"x":2}]}}`, []string{"body/payload/l/0/x value_error.jsondecode: is there twice"}},
		"payload missing":     {new(messageIn), `{"eventType":"a"}`, []string{"body/payload value_error.jsondecode: is required"}},
		"payload null":        {new(messageIn), `{"eventType":"a","payload":null}`, []string{"body/payload value_error.jsondecode: must not be null"}},
		"payload a list":      {new(messageIn), `{"eventType":"a","payload":[]}`, []string{"body/payload value_error.jsondecode: must be an object"}},
		"data a text":         {new(messageIn), `{"eventType":"a","data":"x"}`, []string{"body/data value_error.jsondecode: must be an object"}},
		"payload and data":    {new(messageIn), `{"eventType":"a","data":{},"payload":{}}`, []string{"body/data value_error: is another name of payload: send one of them"}},
		"within":              {new(messageIn), `{"eventType":"a","payload":{},"application":{"uid":"x y","rateLimit":0,"metadata":{"a":"` + strings.Repeat("a", 4096) + `"}}}`, []string{"body/application/metadata value_error: must be at most 4096 bytes of JSON, not 4104", "body/application/name value_error.jsondecode: is required", "body/application/rateLimit value_error: must be 1 to 65535", "body/application/uid value_error: must be 1 to 256 characters of a-z A-Z 0-9 - _ and dot"}},
		"two retentions":      {new(messageIn), `{"eventType":"a","payload":{},"payloadRetentionPeriod":30,"payloadRetentionHours":719}`, []string{"body/payloadRetentionHours value_error: is another time than payloadRetentionPeriod: send one of them"}},
		"retention too short": {new(messageIn), `{"eventType":"a","payload":{},"payloadRetentionPeriod":4}`, []string{"body/payloadRetentionPeriod value_error: must be 5 to 90"}},
		"retention in hours":  {new(messageIn), `{"eventType":"a","payload":{},"payloadRetentionHours":24}`, []string{"body/payloadRetentionHours value_error: must be 120 to 2160"}},
		"headers of raw":      {new(messageIn), `{"eventType":"a","payload":{},"transformationsParams":{"rawPayload":"x","headers":{"content-type":"text/plain","X-A":"1"}}}`, []string{"body/transformationsParams/headers/X-A value_error: can't be sent with one message: set it on the endpoint", "body/transformationsParams/headers/content-type value_error: must be application/json, as which everything is sent"}},
		"odd type of raw":     {new(messageIn), `{"eventType":"a","payload":{},"transformationsParams":{"headers":{"content-type":"application/json;v=1"}}}`, []string{"body/transformationsParams/headers/content-type value_error: must be application/json, as which everything is sent"}},
		"headers are text":    {new(messageIn), `{"eventType":"a","payload":{},"transformationsParams":{"headers":{"content-type":1}}}`, []string{"body/transformationsParams/headers/content-type value_error.jsondecode: must be a string"}},
		"all that is wrong": {
			new(endpointIn),
			`{"url":"ftp://a","uid":"ep_1","throttleRate":0,"channels":[],"eventTypes":["ok","n o"],"version":0,"secret":"abc"}`,
			[]string{
				"body/channels value_error: must have 1 to 10 items",
				"body/eventTypes/[1] value_error: must be 1 to 256 characters of a-z A-Z 0-9 - _ and dot",
				"body/secret value_error: must begin with whsec_ or whsk_",
				"body/throttleRate value_error: must be 1 to 65535",
				`body/uid value_error: must not begin with "ep_": that is for ids`,
				"body/url value_error: must be an absolute http or https URL, such as https://example.com/hook",
				"body/version value_error: must be 1 to 65535",
			},
		},
		"no types":           {new(endpointIn), `{"url":"http://a","eventTypes":[]}`, []string{"body/eventTypes value_error: must not be empty"}},
		"types by two names": {new(endpointIn), `{"url":"http://a","eventTypes":["a"],"filterTypes":["b"]}`, []string{"body/filterTypes value_error: must be the same as eventTypes, of which it is the older name"}},
		"no name in a patch": {new(applicationPatch), `{"name":null}`, []string{"body/name value_error.jsondecode: must not be null"}},
		"empty name":         {new(applicationPatch), `{"name":""}`, []string{"body/name value_error: must not be empty"}},
		"control character":  {new(applicationPatch), `{"name":"a\u0000"}`, []string{"body/name value_error: must not have the control characters 0x00 to 0x08"}},
		"empty uid":          {new(applicationPatch), `{"uid":""}`, []string{"body/uid value_error: must be 1 to 256 characters of a-z A-Z 0-9 - _ and dot"}},
		"long uid":           {new(applicationPatch), `{"uid":"` + strings.Repeat("a", 257) + `"}`, []string{"body/uid value_error: must be 1 to 256 characters of a-z A-Z 0-9 - _ and dot"}},
		"much metadata":      {new(applicationPatch), `{"metadata":{"a":"` + strings.Repeat("a", 4096) + `"}}`, []string{"body/metadata value_error: must be at most 4096 bytes of JSON, not 4104"}},
		"long grace":         {new(rotateIn), `{"gracePeriodSeconds":604801}`, []string{"body/gracePeriodSeconds value_error: must be 0 to 604800"}},
		"set and deleted":    {new(headersPatch), `{"headers":{"A":"b"},"deleteHeaders":["A"]}`, []string{"body/headers/A value_error: is set and deleted at once"}},
		"older names":        {new(endpointIn), `{"url":"http://a","filterTypes":["a b"],"rateLimit":65536}`, []string{"body/filterTypes/[0] value_error: must be 1 to 256 characters of a-z A-Z 0-9 - _ and dot", "body/rateLimit value_error: must be 1 to 65535"}},
		"secret too short":   {new(rotateIn), `{"key":"whsec_AAAA"}`, []string{`body/key value_error: is not a signing secret: behind "whsec_" comes the base64 of 24 to 75 bytes`}},
		"reserved header":    {new(headersPatch), `{"headers":{"Webhook-Id":"1","X-A":"a\nb"}}`, []string{`body/headers/Webhook-Id value_error: names that begin with "webhook-" are reserved`, `body/headers/X-A value_error: the value must not have the control character '\n'`}},
		"no headers":         {new(headersIn), `{}`, []string{"body/headers value_error.jsondecode: is required"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, bad := shapeOf(reflect.TypeOf(test.into).Elem()).decode([]byte(test.body), test.into)
			var got []string
			for _, one := range bad {
				got = append(got, one.at())
			}
			slices.Sort(got)
			if !slices.Equal(got, test.want) {
				t.Errorf("faults\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(test.want, "\n"))
			}
		})
	}
}

func TestBodyTakesWhatClientsSend(t *testing.T) {
	tests := map[string]struct {
		into    any
		body    string
		unknown []string
	}{
		"unknown members are named":     {new(applicationIn), `{"name":"x","colour":"red","size":{"a":[1,{}]}}`, []string{"colour", "size"}},
		"unknown within":                {new(messageIn), `{"eventType":"a","payload":{"b":1},"application":{"name":"x","colour":1},"transformationsParams":{"x":1}}`, []string{"transformationsParams.x", "application.colour"}},
		"null is absent":                {new(messageIn), `{"eventType":"a","payload":{},"tags":null,"deliverAt":null,"channels":null,"eventId":null,"application":null}`, nil},
		"no tags":                       {new(messageIn), `{"eventType":"a","payload":{},"tags":[]}`, nil},
		"a retention, twice":            {new(messageIn), `{"eventType":"a","payload":{},"payloadRetentionPeriod":30,"payloadRetentionHours":720}`, nil},
		"a lone surrogate in a payload": {new(messageIn), `{"eventType":"a","payload":{"text":"cut \ud83d"}}`, nil},
		"headers are null":              {new(headersPatch), `{"headers":null,"deleteHeaders":["A"]}`, nil},
		"null removes a header":         {new(headersPatch), `{"headers":{"A":null}}`, nil},
		"an empty rotation":             {new(rotateIn), `{}`, nil},
		"a whole number with a point":   {new(applicationIn), `{"name":"x","throttleRate":2.50e1}`, nil},
		"types by two names, the same":  {new(endpointIn), `{"url":"http://a","eventTypes":["a"],"filterTypes":["a"]}`, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			unknown, bad := shapeOf(reflect.TypeOf(test.into).Elem()).decode([]byte(test.body), test.into)
			if len(bad) > 0 || !slices.Equal(unknown, test.unknown) {
				t.Errorf("unknown %q, want %q; faults %v", unknown, test.unknown, bad)
			}
		})
	}
}

func TestPayloadIsKeptByteForByte(t *testing.T) {
	const payload = "{ \"b\" : 1.50,\t\"a\":\"\\u00e9\\ud83d\", \"n\": 123456789012345678901234567890,\"e\":1E+2 }"
	var in messageIn
	_, bad := shapeOf(reflect.TypeFor[messageIn]()).decode([]byte(`{"payload":  `+payload+" ,\"eventType\":\"a\"}"), &in)
	if len(bad) > 0 || string(in.sent()) != payload {
		t.Errorf("payload %s, want %s; faults %v", in.sent(), payload, bad)
	}
}

// deep is an object nested n levels deep.
func deep(n int) []byte {
	return []byte(`{"a":` + strings.Repeat("[", n-1) + strings.Repeat("]", n-1) + `}`)
}

func TestPayloadIsShownAsAnObject(t *testing.T) {
	flat := []byte(`{"a":[` + strings.Repeat("[],", 10_000) + `"` + strings.Repeat("[", 10_000) + `\"[\\"]}`)
	tests := map[string]struct {
		payload shownPayload
		want    string
	}{
		"not asked for":   {shownPayload{}, `{}`},
		"gone":            {shownPayload{asked: true}, `{"expired":true}`},
		"an object":       {shownPayload{true, []byte(`{"n":1.50,"t":"\u00e9\ud83d"}`)}, `{"n":1.50,"t":"\u00e9\ud83d"}`},
		"a list":          {shownPayload{true, []byte(`[1]`)}, `{"raw":"[1]"}`},
		"not JSON":        {shownPayload{true, []byte(`{"a":`)}, `{"raw":"{\"a\":"}`},
		"no bytes":        {shownPayload{true, []byte{}}, `{"raw":""}`},
		"not UTF-8":       {shownPayload{true, []byte("{\"a\":\"\xff\"}")}, "{\"raw\":\"{\\\"a\\\":\\\"\uFFFD\\\"}\"}"},
		"many levels":     {shownPayload{true, deep(9900)}, string(deep(9900))},
		"too many levels": {shownPayload{true, deep(9901)}, `{"raw":"{\"a\":` + string(deep(9901)[5:]) + `"}`},
		"not many levels": {shownPayload{true, flat}, string(flat)},
		"names are twice": {shownPayload{true, []byte(`{"a":1,"a":2}`)}, `{"raw":"{\"a\":1,\"a\":2}"}`},
	}
	for name, test := range tests {
		got, err := json.Marshal(test.payload, encodeOptions)
		if err != nil || string(got) != test.want {
			t.Errorf("%s: %.200s (%v), want %.200s", name, got, err, test.want)
		}
	}
}

// Whatever is posted: no panic, and either it fits or there are faults that can be told.
func FuzzBody(f *testing.F) {
	for _, seed := range []string{
		`{"name":"x","metadata":{"a":"b"},"uid":null}`, `{"url":"http://a","channels":["a",5],"headers":{"a":null}}`,
		`{"eventType":"a","payload":{"a":[{}]},"application":{"name":"x"}}`, `{"a":"\ud800","a":1}`, "\xff", `[`, `{"key":1e9}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		for _, into := range []any{
			new(applicationIn), new(applicationPatch), new(endpointIn), new(endpointPatch), new(messageIn),
			new(rotateIn), new(headersIn), new(headersPatch),
		} {
			unknown, bad := shapeOf(reflect.TypeOf(into).Elem()).decode([]byte(body), into)
			for _, one := range bad {
				if one.Loc[0] != "body" || one.Msg == "" {
					t.Errorf("%T: fault %+v", into, one)
				}
			}
			if len(unknown) > 2*(maxIgnored+1) {
				t.Errorf("%d names", len(unknown))
			}
			if _, err := json.Marshal(faultsOut{bad}, encodeOptions); err != nil {
				t.Error(err)
			}
		}
	})
}
