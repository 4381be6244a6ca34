// Ollama's own Go client, the one its command line uses, asked everything that it can ask; one line of JSON per case, judged elsewhere.
package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"runtime/debug"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/ollama/ollama/api"
)

const (
	chatModel  = "llama3.2:3b"
	thinkModel = "qwen3:8b"
	seeModel   = "gemma3:4b"
	embedModel = "nomic-embed-text"
	pixel      = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
	sky        = "Why is the sky blue?"
)

var (
	base    = os.Getenv("BASE")
	control = os.Getenv("CONTROL")
	foreman = os.Getenv("FOREMAN")
	client  *api.Client
	// One with little patience: it asks for signs of life, and waits so long for headers.
	impatient *api.Client
	limit     = time.Duration(number("LIMIT_MS", 2000)) * time.Millisecond
)

func number(name string, otherwise int) int {
	if value, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return value
	}
	return otherwise
}

type asking struct{ http.RoundTripper }

func (a asking) RoundTrip(request *http.Request) (*http.Response, error) {
	mine := request.Clone(request.Context())
	mine.Header.Set("X-Foreman-Heartbeat", "1s")
	return a.RoundTripper.RoundTrip(mine)
}

type result = any

func get(address string, into any) {
	answer, err := http.Get(address)
	if err != nil {
		return
	}
	defer answer.Body.Close()
	_ = json.NewDecoder(answer.Body).Decode(into)
}

func command(fault string) {
	answer, err := http.Post(control+"/fault", "application/json", strings.NewReader(fault))
	if err == nil {
		answer.Body.Close()
	}
}

func until(limit time.Duration, isSo func() bool) bool {
	for ends := time.Now().Add(limit); time.Now().Before(ends); time.Sleep(20 * time.Millisecond) {
		if isSo() {
			return true
		}
	}
	return false
}

type health struct {
	Queue  struct{ Queued, Working int }
	Target struct{ Reachable bool }
}

func open() int {
	var counters struct{ Open int }
	get(control+"/counters", &counters)
	return counters.Open
}

func waiting() int {
	if foreman == "" {
		return max(0, open()-1)
	}
	var h health
	get(foreman+"/healthz", &h)
	return h.Queue.Queued
}

func isQuiet() bool {
	if open() > 0 {
		return false
	}
	if foreman == "" {
		return true
	}
	var h health
	get(foreman+"/healthz", &h)
	return h.Target.Reachable && h.Queue.Queued == 0 && h.Queue.Working == 0
}

// Somebody else's generation, which takes so long.
func occupy(ctx context.Context, ms int) chan struct{} {
	begun, done := make(chan struct{}), make(chan struct{})
	go func() {
		first := true
		request := &api.GenerateRequest{Model: chatModel, Prompt: fmt.Sprintf("[[n=%d]]", ms/10)}
		_ = client.Generate(ctx, request, func(api.GenerateResponse) error {
			if first {
				close(begun)
			}
			first = false
			return nil
		})
		close(done)
	}()
	<-begun
	return done
}

// One stream, to its end.
type streamed func(ctx context.Context, by *api.Client, model, prompt string, onFirst func()) (result, error)

func chat(ctx context.Context, by *api.Client, model, prompt string, onFirst func()) (result, error) {
	said, reason, first := "", "", true
	request := &api.ChatRequest{Model: model, Messages: []api.Message{{Role: "user", Content: prompt}}}
	err := by.Chat(ctx, request, func(part api.ChatResponse) error {
		if first {
			onFirst()
		}
		first = false
		said += part.Message.Content
		reason = part.DoneReason
		return nil
	})
	return map[string]any{"said": said, "reason": reason}, err
}

func generate(ctx context.Context, by *api.Client, model, prompt string, onFirst func()) (result, error) {
	said, reason, first := "", "", true
	err := by.Generate(ctx, &api.GenerateRequest{Model: model, Prompt: prompt}, func(part api.GenerateResponse) error {
		if first {
			onFirst()
		}
		first = false
		said += part.Response
		reason = part.DoneReason
		return nil
	})
	return map[string]any{"said": said, "reason": reason}, err
}

var faults = map[string]string{
	"reset":            `{"kind":"reset","phase":"mid-body","chunks":3,"times":1,"path":"%s"}`,
	"truncate":         `{"kind":"truncate","chunks":3,"times":1,"path":"%s"}`,
	"malformed-chunk":  `{"kind":"malformed-chunk","chunks":3,"times":1,"path":"%s"}`,
	"error-mid-stream": `{"kind":"error-mid-stream","text":"the runner died","chunks":3,"times":1,"path":"%s"}`,
	"out-of-memory":    `{"kind":"error-mid-stream","text":"CUDA error: out of memory","chunks":3,"times":1,"path":"%s"}`,
	"restart":          "",
}

func nothing() {}

// What one case does.
type act = func(ctx context.Context) (result, error)

// What has to do with waiting; an impatient client waits longer than its limit.
func waitCases(what string, ask streamed, add func(string, act)) {
	waited := func(ms int, by *api.Client) act {
		return func(ctx context.Context) (result, error) {
			began := time.Now()
			done := occupy(ctx, ms)
			said, err := ask(ctx, by, chatModel, sky, nothing)
			<-done
			return map[string]any{"said": said, "waited": time.Since(began).Milliseconds()*10 >= int64(ms)*8}, err
		}
	}
	away := func(by *api.Client) act {
		return func(ctx context.Context) (result, error) {
			command(`{"kind":"refuse"}`)
			return ask(ctx, by, chatModel, sky, nothing)
		}
	}
	add(what+" wait-in-queue", waited(number("WAIT_MS", 1500), client))
	add(what+" wait-impatient", waited(int(limit.Milliseconds()*3/2), impatient))
	add(what+" target-away", away(client))
	// The head has gone out when it becomes known that there will be no answer.
	add(what+" target-away-late", away(impatient))
}

func streamCases(path string, ask streamed, add func(string, act)) {
	add(path+" stream", func(ctx context.Context) (result, error) { return ask(ctx, client, chatModel, sky, nothing) })
	add(path+" unknown-model", func(ctx context.Context) (result, error) { return ask(ctx, client, "nope", sky, nothing) })
	add(path+" abort-midway", func(ctx context.Context) (result, error) {
		mine, leave := context.WithCancel(ctx)
		_, _ = ask(mine, client, chatModel, "[[n=400]]", leave)
		return map[string]any{"quiet within 1 s": until(time.Second, isQuiet)}, nil
	})
	add(path+" abort-queued", func(ctx context.Context) (result, error) {
		others, end := context.WithCancel(ctx)
		done := occupy(others, 60_000)
		mine, leave := context.WithCancel(ctx)
		ended := make(chan struct{})
		go func() {
			_, _ = ask(mine, client, chatModel, sky, nothing)
			close(ended)
		}()
		queued := until(30*time.Second, func() bool { return waiting() >= 1 })
		leave()
		<-ended
		left := until(time.Second, func() bool { return waiting() == 0 })
		end()
		<-done
		return map[string]any{"queued": queued, "left within 1 s": left}, nil
	})
	waitCases(path, ask, add)
	for kind, fault := range faults {
		add(path+" fails-"+kind, func(ctx context.Context) (result, error) {
			<-occupy(ctx, 10)
			onFirst := nothing
			if fault == "" {
				onFirst = func() { command(`{"kind":"restart"}`) }
			} else {
				command(fmt.Sprintf(fault, path))
			}
			return ask(ctx, client, chatModel, "[[n=400]]", onFirst)
		})
	}
}

func inOnePiece(ctx context.Context, by *api.Client, model, prompt string, _ func()) (result, error) {
	stream, said := false, ""
	request := &api.ChatRequest{Model: model, Messages: user(prompt), Stream: &stream}
	err := by.Chat(ctx, request, func(part api.ChatResponse) error {
		said += part.Message.Content
		return nil
	})
	return said, err
}

func whole(ctx context.Context, request *api.ChatRequest) (result, error) {
	stream := false
	request.Stream = &stream
	var last api.ChatResponse
	err := client.Chat(ctx, request, func(part api.ChatResponse) error {
		last = part
		return nil
	})
	counts := map[string]int{"prompt": last.PromptEvalCount, "eval": last.EvalCount}
	return map[string]any{"message": last.Message, "reason": last.DoneReason, "counts": counts}, err
}

func user(content string) []api.Message { return []api.Message{{Role: "user", Content: content}} }

func names(ctx context.Context) (result, error) {
	listed, err := client.List(ctx)
	if err != nil {
		return nil, err
	}
	found := []string{}
	for _, model := range listed.Models {
		found = append(found, model.Name)
	}
	sort.Strings(found)
	return found, nil
}

func wholeCases(add func(string, act)) {
	add("chat", func(ctx context.Context) (result, error) {
		return whole(ctx, &api.ChatRequest{Model: chatModel, Messages: user("What is the capital of France?")})
	})
	add("tools", func(ctx context.Context) (result, error) {
		var tools api.Tools
		text := `[{"type":"function","function":{"name":"get_weather","description":"The weather","parameters":
			{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}}}]`
		if err := json.Unmarshal([]byte(text), &tools); err != nil {
			return nil, err
		}
		request := &api.ChatRequest{Model: chatModel, Messages: user("What is the weather in Paris?"), Tools: tools}
		answer, err := whole(ctx, request)
		return strings.Contains(fmt.Sprint(answer), "get_weather"), err
	})
	add("structured", func(ctx context.Context) (result, error) {
		format := json.RawMessage(`{"type":"object","properties":{"name":{"type":"string"}},"required":["name"]}`)
		return whole(ctx, &api.ChatRequest{Model: chatModel, Messages: user("Tell me of Ann"), Format: format})
	})
	add("thinking", func(ctx context.Context) (result, error) {
		think := &api.ThinkValue{Value: true}
		return whole(ctx, &api.ChatRequest{Model: thinkModel, Messages: user("Say hello"), Think: think})
	})
	add("images", func(ctx context.Context) (result, error) {
		picture, _ := base64.StdEncoding.DecodeString(pixel)
		asked := []api.Message{{Role: "user", Content: "What is this?", Images: []api.ImageData{picture}}}
		return whole(ctx, &api.ChatRequest{Model: seeModel, Messages: asked})
	})
	add("embeddings", func(ctx context.Context) (result, error) {
		answer, err := client.Embed(ctx, &api.EmbedRequest{Model: embedModel, Input: []string{"one", "two"}})
		if err != nil {
			return nil, err
		}
		return answer.Embeddings, nil
	})
	add("heartbeat", func(ctx context.Context) (result, error) { return true, client.Heartbeat(ctx) })
	add("version", func(ctx context.Context) (result, error) { return client.Version(ctx) })
	add("list", names)
	add("show", func(ctx context.Context) (result, error) {
		answer, err := client.Show(ctx, &api.ShowRequest{Model: chatModel})
		if err != nil {
			return nil, err
		}
		return answer.Modelfile, nil
	})
	add("ps", func(ctx context.Context) (result, error) {
		answer, err := client.ListRunning(ctx)
		if err != nil {
			return nil, err
		}
		for _, model := range answer.Models {
			if model.Name == chatModel {
				return true, nil
			}
		}
		return false, nil
	})
	add("create", func(ctx context.Context) (result, error) {
		status := []string{}
		request := &api.CreateRequest{Model: "made", From: chatModel, System: "Be brief."}
		err := client.Create(ctx, request, func(step api.ProgressResponse) error {
			status = append(status, step.Status)
			return nil
		})
		return status, err
	})
	add("copy", func(ctx context.Context) (result, error) {
		if err := client.Copy(ctx, &api.CopyRequest{Source: chatModel, Destination: "copied"}); err != nil {
			return nil, err
		}
		return names(ctx)
	})
	add("delete", func(ctx context.Context) (result, error) {
		for _, model := range []string{"copied", "made"} {
			if err := client.Delete(ctx, &api.DeleteRequest{Model: model}); err != nil {
				return nil, err
			}
		}
		return names(ctx)
	})
	add("delete-unknown", func(ctx context.Context) (result, error) {
		return nil, client.Delete(ctx, &api.DeleteRequest{Model: "nope"})
	})
}

// What the command line does first, with a token that only its host's path can carry.
func tokenCases(by *api.Client, add func(string, act)) {
	add("path-token heartbeat", func(ctx context.Context) (result, error) { return true, by.Heartbeat(ctx) })
	add("path-token show", func(ctx context.Context) (result, error) {
		answer, err := by.Show(ctx, &api.ShowRequest{Model: chatModel})
		if err != nil {
			return nil, err
		}
		return answer.Modelfile, nil
	})
	add("path-token chat", func(ctx context.Context) (result, error) { return chat(ctx, by, chatModel, sky, nothing) })
	add("path-token unknown-model", func(ctx context.Context) (result, error) { return chat(ctx, by, "nope", sky, nothing) })
}

func clientAt(base string, by *http.Client) *api.Client {
	address, err := url.Parse(base)
	if err != nil {
		panic(err)
	}
	return api.NewClient(address, by)
}

func raised(err error) result {
	status := 0
	var told api.StatusError
	if errors.As(err, &told) {
		status = told.StatusCode
	}
	return map[string]any{"raised": fmt.Sprintf("%T", err), "status": status, "message": err.Error()}
}

func versionOf(path string) string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, module := range info.Deps {
			if module.Path == path {
				return module.Version
			}
		}
	}
	return "unknown"
}

func main() {
	client = clientAt(base, http.DefaultClient)
	impatient = clientAt(base, &http.Client{Transport: asking{&http.Transport{ResponseHeaderTimeout: limit}}})
	version := versionOf("github.com/ollama/ollama")
	add := func(name string, act func(context.Context) (result, error)) {
		began := time.Now()
		answer, err := act(context.Background())
		if err != nil {
			answer = raised(err)
		}
		request, _ := http.NewRequest(http.MethodDelete, control+"/fault", nil)
		if calmed, err := http.DefaultClient.Do(request); err == nil {
			calmed.Body.Close()
		}
		until(10*time.Second, isQuiet)
		line := map[string]any{"client": "ollama/api (Go)", "version": version, "case": name, "ms": time.Since(began).Milliseconds(), "result": answer}
		_ = json.NewEncoder(os.Stdout).Encode(line)
	}
	wholeCases(add)
	waitCases("whole", inOnePiece, add)
	tokenCases(clientAt(os.Getenv("TOKEN_BASE"), http.DefaultClient), add)
	streamCases("/api/chat", chat, add)
	streamCases("/api/generate", generate, add)
}
