package main

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// pace is how long the listener waits between tries, and in all.
type pace struct {
	reconnect             time.Duration
	conflict, conflictMax time.Duration
	skew, skewMax         time.Duration
}

func realPace() pace {
	return pace{
		reconnect: 5 * time.Second,
		conflict:  30 * time.Second, conflictMax: 4 * time.Minute,
		skew: 30 * time.Second, skewMax: 30 * time.Minute,
	}
}

// listener asks for work.
type listener struct {
	installation
	settings settings
	login    credentials
	key      *rsa.PrivateKey
	client   *client
	pace     pace
	diag     *log.Logger

	access, session string
}

// run asks for work until it is told to stop, and returns the exit code.
func (i installation) run(ctx context.Context) int {
	if !i.has(settingsFile) || !i.has(credentialsFile) {
		fmt.Fprintln(i.complain, "Not configured. Run config.sh to configure the runner.")
		return exitTerminated
	}
	l, closeLog, err := i.listener(realPace())
	if err != nil {
		fmt.Fprintln(i.complain, err)
		return exitTerminated
	}
	defer closeLog()
	return l.listen(ctx)
}

func (i installation) listener(p pace) (*listener, func(), error) {
	l := &listener{installation: i, client: newClient(), pace: p}
	var key rsaParameters
	err := errors.Join(i.read(settingsFile, &l.settings), i.read(credentialsFile, &l.login), i.read(keyFile, &key))
	if err != nil {
		return nil, nil, err
	}
	if l.key, err = key.key(); err != nil {
		return nil, nil, err
	}
	if err := os.MkdirAll(i.file("_diag"), 0o755); err != nil {
		return nil, nil, fmt.Errorf("open log: %w", err)
	}
	diag, err := os.OpenFile(i.file("_diag", "Runner_"+stamp()+"-utc.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, nil, fmt.Errorf("open log: %w", err)
	}
	l.diag = log.New(diag, "", log.LstdFlags|log.LUTC)
	return l, func() { diag.Close() }, nil
}

func stamp() string { return time.Now().UTC().Format("20060102-150405") }

// tell prints a line with the time, in the log too.
func (l *listener) tell(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	fmt.Fprintf(l.out, "%s: %s\n", time.Now().UTC().Format("2006-01-02 15:04:05Z"), text)
	l.diag.Print(text)
}

// ended is the end of listening, with its exit code.
type ended struct {
	code int
	why  string
}

func (e *ended) Error() string { return e.why }

func (l *listener) listen(ctx context.Context) int {
	fmt.Fprintf(l.out, "Current runner version: '%s'\n", version)
	begun := false
	for {
		err := l.once(ctx, &begun)
		var end *ended
		switch {
		case ctx.Err() != nil:
			l.leave(context.WithoutCancel(ctx))
			l.tell("Exiting...")
			return exitDone
		case errors.As(err, &end):
			l.tell("%s", end.why)
			l.leave(context.WithoutCancel(ctx))
			return end.code
		case err != nil:
			l.tell("Runner connect error: %v. Retrying until reconnected.", err)
			sleep(ctx, l.pace.reconnect)
		}
	}
}

// once opens a session if there is none and asks for one message. What it
// returns is worth another try unless it is an ended.
func (l *listener) once(ctx context.Context, begun *bool) error {
	if l.session == "" {
		if err := l.open(ctx); err != nil {
			return err
		}
		if *begun {
			l.tell("Runner reconnected.")
		} else {
			l.say("Connected to GitHub")
		}
		*begun = true
		l.tell("Listening for Jobs")
	}
	var message struct {
		ID   int    `json:"messageId"`
		Type string `json:"messageType"`
		Body string `json:"body"`
	}
	query := url.Values{"sessionId": {l.session}, "status": {"Online"}, "runnerVersion": {version}}
	err := l.client.call(ctx, http.MethodGet, l.pool("messages?"+query.Encode()), "Bearer "+l.access, nil, &message)
	switch {
	case is(err, "TaskAgentSessionExpiredException"), is(err, "UnauthorizedException"):
		l.session = "" // logging in again tells whether we still exist
		return nil
	case err != nil:
		return err
	}
	return l.obey(message.Type, message.Body)
}

// obey does what a message asks for.
func (l *listener) obey(kind, body string) error {
	switch kind {
	case "AgentRefresh":
		return l.update()
	case "LabExit":
		code, err := strconv.Atoi(body)
		if err != nil {
			return fmt.Errorf("read message: %w", err)
		}
		return &ended{code, fmt.Sprintf("The lab asks for an end with %d", code)}
	}
	return nil
}

// update does what an update has been seen to do: afterwards runsvc.sh is empty,
// which nobody notices before the unit is started the next time.
func (l *listener) update() error {
	note := fmt.Sprintf("%s: updating; runsvc.sh is left without content\n", time.Now().UTC().Format(time.RFC3339))
	if err := os.WriteFile(l.file("_diag", "SelfUpdate-"+stamp()+".log"), []byte(note), 0o644); err != nil {
		return fmt.Errorf("update: %w", err)
	}
	if err := os.Truncate(l.file("runsvc.sh"), 0); err != nil {
		return fmt.Errorf("update: %w", err)
	}
	return &ended{exitUpdating, "Runner update in progress, do not shutdown runner."}
}

func (l *listener) pool(path string) string {
	return service{url: l.settings.ServerURL}.pool(path)
}

// open logs in and opens a session, waiting out what time may mend.
func (l *listener) open(ctx context.Context) error {
	if err := l.patiently(ctx, l.logIn, "invalid_grant", l.pace.skew, l.pace.skewMax, exitTerminated); err != nil {
		return l.final(err)
	}
	return l.final(l.patiently(ctx, l.openSession, "TaskAgentSessionConflictException", l.pace.conflict, l.pace.conflictMax, exitConflict))
}

// final turns answers that no second try changes into an end.
func (l *listener) final(err error) error {
	switch {
	case is(err, "unauthorized_client"):
		return &ended{exitTerminated, "Failed to create a session. The runner registration has been deleted from the server, please re-configure."}
	case is(err, "invalid_client"), is(err, "AccessDeniedException"):
		return &ended{exitTerminated, "An error occurred: " + err.Error()}
	}
	return err
}

// patiently tries again as long as the answer is of one kind, for so long.
func (l *listener) patiently(ctx context.Context, do func(context.Context) error, kind string, every, most time.Duration, code int) error {
	start := time.Now()
	for {
		err := do(ctx)
		if err == nil || !is(err, kind) {
			return err
		}
		if time.Since(start) >= most {
			return &ended{code, err.Error()}
		}
		l.tell("%v. Trying again in %s.", err, every)
		if !sleep(ctx, every) {
			return ctx.Err()
		}
	}
}

// logIn gets an access token for an assertion that only this runner can sign.
func (l *listener) logIn(ctx context.Context) error {
	now := time.Now()
	claims := jwt.RegisteredClaims{
		Subject: l.login.Data.ClientID, Issuer: l.login.Data.ClientID, Audience: jwt.ClaimStrings{l.login.Data.AuthorizationURL},
		NotBefore: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(5 * time.Minute)),
	}
	assertion, err := jwt.NewWithClaims(jwt.SigningMethodRS256, claims).SignedString(l.key)
	if err != nil {
		return fmt.Errorf("sign in: %w", err)
	}
	form := url.Values{
		"grant_type":            {"client_credentials"},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
		"client_assertion":      {assertion},
	}
	var answer struct {
		Token string `json:"access_token"`
	}
	if err := l.client.call(ctx, http.MethodPost, l.login.Data.AuthorizationURL, "", form, &answer); err != nil {
		return err
	}
	l.access = answer.Token
	return nil
}

func (l *listener) openSession(ctx context.Context) error {
	var answer struct {
		ID string `json:"sessionId"`
	}
	host, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("open session: %w", err)
	}
	body := map[string]any{
		"ownerName": host,
		"agent":     map[string]any{"id": l.settings.AgentID, "name": l.settings.AgentName, "version": version},
	}
	if err := l.client.call(ctx, http.MethodPost, l.pool("sessions"), "Bearer "+l.access, body, &answer); err != nil {
		return err
	}
	l.session = answer.ID
	return nil
}

// leave closes the session, so that the next one need not wait for its end.
func (l *listener) leave(ctx context.Context) {
	if l.session == "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := l.client.call(ctx, http.MethodDelete, l.pool("sessions/"+l.session), "Bearer "+l.access, nil, nil); err != nil {
		l.diag.Printf("close session: %v", err)
	}
	l.session = ""
}

// sleep waits, and tells whether it could wait to the end.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
