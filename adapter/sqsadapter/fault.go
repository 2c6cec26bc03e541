package sqsadapter

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go"

	"github.com/neohook/neohook/webhook"
)

// Causes of a Fault beside those of package webhook. They are of the kind
// webhook.FaultAnswered; only FaultCredentials is not where there was nothing to ask with.
const (
	FaultCredentials   webhook.FaultCode = "credentials"    // there are none, or Amazon does not know or accept them
	FaultAccessDenied  webhook.FaultCode = "access_denied"  // they may not send to this queue
	FaultNoSuchQueue   webhook.FaultCode = "no_such_queue"  // it is not there, or not any more
	FaultEncryptionKey webhook.FaultCode = "encryption_key" // the queue's KMS key can't be used
	FaultThrottled     webhook.FaultCode = "throttled"      // too many requests; the StatusCode is 429
	FaultUnavailable   webhook.FaultCode = "unavailable"    // a status of 500 and above
)

var (
	errClosed         = errors.New("the adapter was closed")
	errNotAllowed     = errors.New("this endpoint may not send there")
	errNoMessageID    = errors.New("the answer names no message")
	errAnswerTooLarge = errors.New("the answer is longer than any of SQS")
)

// credentialsError marks what the credentials provider returned.
type credentialsError struct{ error }

func (e credentialsError) Unwrap() error { return e.error }

// refusal is the fault of a message that is not sent.
func refusal(err error) *webhook.Fault {
	fault := &webhook.Fault{
		Kind: webhook.FaultClient, Code: webhook.FaultInvalidRequest, Phase: webhook.PhasePrepare,
		Message: err.Error(), Cause: err,
	}
	switch {
	case errors.Is(err, errHost), errors.Is(err, errNotAllowed):
		fault.Code = webhook.FaultBlockedAddress
	case errors.Is(err, errTooLarge):
		fault.Code = webhook.FaultMessageTooLarge
	}
	return fault
}

// failure says why an operation failed. parent is the caller's context, phase how far it
// came, and status that of the answer, 0 where there was none.
func failure(parent context.Context, err error, phase webhook.Phase, status int, timeout time.Duration) *webhook.Fault {
	fault := &webhook.Fault{Kind: webhook.FaultClient, Phase: phase, Cause: err}
	var api smithy.APIError
	switch {
	case errors.Is(err, errClosed):
		fault.Code, fault.Message = webhook.FaultClosed, errClosed.Error()
	case errors.As(err, &api) && status != 0:
		fault.Kind = webhook.FaultAnswered
		fault.Code, fault.Message = answerCode(api, status)
		if fault.Code == FaultCredentials || fault.Code == FaultAccessDenied {
			fault.Cause = &smithy.GenericAPIError{Code: api.ErrorCode(), Message: "left out, as it may quote the request"}
		}
	case parent.Err() != nil:
		fault.Code, fault.Message = webhook.FaultCancelled, "the caller ended the attempt: "+parent.Err().Error()
		if errors.Is(parent.Err(), context.DeadlineExceeded) {
			fault.Kind = webhook.FaultTimeout
		}
	default:
		classify(fault, err, status, timeout)
	}
	return fault
}

// classify names the cause where there is no answer of the API. What the SDK's errors say
// is for the operator, in Cause: their text tells of hosts and roles.
func classify(fault *webhook.Fault, err error, status int, timeout time.Duration) {
	var credentials credentialsError
	if isTimeout(err) {
		fault.Kind = webhook.FaultTimeout
	}
	switch code, message := byType(err, fault.Phase); {
	case errors.As(err, &credentials):
		fault.Code, fault.Message = FaultCredentials, "the sender has no AWS credentials to sign with"
	case code != "":
		fault.Code, fault.Message = code, message
	case fault.Kind == webhook.FaultTimeout:
		fault.Code, fault.Message = timeoutCode(fault.Phase, timeout)
	case errors.Is(err, errAnswerTooLarge):
		fault.Code, fault.Message = webhook.FaultBodyTooLarge, fmt.Sprintf("the answer has more than %d bytes", maxAnswerBytes)
	case status >= http.StatusInternalServerError:
		fault.Kind, fault.Code = webhook.FaultAnswered, FaultUnavailable
		fault.Message = fmt.Sprintf("the queue's server answered %d", status)
	case status != 0:
		fault.Code, fault.Message = webhook.FaultMalformedResponse, fmt.Sprintf("the answer, %d, is not one of SQS", status)
	case fault.Phase == webhook.PhaseTLS:
		fault.Code, fault.Message = webhook.FaultTLS, "the TLS handshake with the queue's server failed"
	default:
		fault.Code, fault.Message = webhook.FaultOther, "the message could not be sent"
	}
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}

func timeoutCode(phase webhook.Phase, timeout time.Duration) (webhook.FaultCode, string) {
	switch phase {
	case webhook.PhaseWait:
		return webhook.FaultPoolExhausted, "no connection to the queue's server became free in time"
	case webhook.PhaseDNS:
		return webhook.FaultDNS, "the queue's host was not found in time"
	case webhook.PhaseConnect, webhook.PhaseTLS:
		return webhook.FaultConnectTimeout, "there was no connection to the queue's server in time"
	case webhook.PhaseRequest:
		return webhook.FaultRequestTimeout, fmt.Sprintf("the queue's server did not take the request in %v", timeout)
	case webhook.PhaseBody:
		return webhook.FaultBodyTooSlow, fmt.Sprintf("the answer did not end in %v", timeout)
	}
	return webhook.FaultResponseTimeout, fmt.Sprintf("no answer in %v", timeout)
}

// byType names what can be told by an error's type or value; "" for none of those.
func byType(err error, phase webhook.Phase) (webhook.FaultCode, string) {
	var (
		blocked   interface{ Blocked() bool }
		dns       *net.DNSError
		remote    *net.OpError
		record    tls.RecordHeaderError
		invalid   x509.CertificateInvalidError
		authority x509.UnknownAuthorityError
		hostname  x509.HostnameError
	)
	switch {
	case errors.As(err, &blocked) && blocked.Blocked():
		return webhook.FaultBlockedAddress, "the egress policy does not let the queue's server be dialled"
	case errors.As(err, &dns):
		return webhook.FaultDNS, "the queue's host was not found"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return webhook.FaultTLSExpired, "the server's certificate is out of its time"
	case errors.As(err, &authority):
		return webhook.FaultTLSUnknownAuthority, "the server's certificate is not signed by a trusted authority"
	case errors.As(err, &hostname):
		return webhook.FaultTLSHostname, "the server's certificate is of another host"
	case errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		return webhook.FaultTLSNotSpoken, "what answered does not speak TLS"
	case errors.As(err, &remote) && remote.Op == "remote error": // a TLS alert; its type is not exported
		return webhook.FaultTLSRefused, "the server refused the TLS connection"
	case errors.Is(err, syscall.ECONNREFUSED):
		return webhook.FaultRefused, "the connection was refused"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return webhook.FaultUnreachable, "there is no way to the queue's server"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, io.EOF),
		errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		if phase == webhook.PhaseTLS {
			return webhook.FaultTLS, "the server closed the connection in the TLS handshake"
		}
		return webhook.FaultReset, "the server closed the connection before the answer's end"
	}
	return "", ""
}

// codes are what the API's error codes mean. SQS gives most of them two spellings, that
// of its JSON protocol and that of the older one.
var codes = map[string]webhook.FaultCode{
	"QueueDoesNotExist":                           FaultNoSuchQueue,
	"AWS.SimpleQueueService.NonExistentQueue":     FaultNoSuchQueue,
	"QueueDeletedRecently":                        FaultNoSuchQueue,
	"AWS.SimpleQueueService.QueueDeletedRecently": FaultNoSuchQueue,
	"InvalidAddress":                              FaultNoSuchQueue,

	"AccessDenied":          FaultAccessDenied,
	"AccessDeniedException": FaultAccessDenied,

	"InvalidClientTokenId":           FaultCredentials,
	"UnrecognizedClientException":    FaultCredentials,
	"InvalidAccessKeyId":             FaultCredentials,
	"SignatureDoesNotMatch":          FaultCredentials,
	"InvalidSignatureException":      FaultCredentials,
	"IncompleteSignature":            FaultCredentials,
	"IncompleteSignatureException":   FaultCredentials,
	"MissingAuthenticationToken":     FaultCredentials,
	"ExpiredToken":                   FaultCredentials,
	"ExpiredTokenException":          FaultCredentials,
	"RequestExpired":                 FaultCredentials,
	"RequestTimeTooSkewed":           FaultCredentials,
	"OptInRequired":                  FaultCredentials,
	"NotAuthorized":                  FaultCredentials,
	"InvalidSecurity":                FaultCredentials,
	"MissingAuthenticationException": FaultCredentials,

	"KmsAccessDenied":           FaultEncryptionKey,
	"KMS.AccessDeniedException": FaultEncryptionKey,
	"KmsDisabled":               FaultEncryptionKey,
	"KMS.DisabledException":     FaultEncryptionKey,
	"KmsInvalidKeyUsage":        FaultEncryptionKey,
	"KmsInvalidState":           FaultEncryptionKey,
	"KMS.InvalidStateException": FaultEncryptionKey,
	"KmsNotFound":               FaultEncryptionKey,
	"KMS.NotFoundException":     FaultEncryptionKey,
	"KmsOptInRequired":          FaultEncryptionKey,
	"KMS.OptInRequired":         FaultEncryptionKey,

	"KmsThrottled":            FaultThrottled,
	"KMS.ThrottlingException": FaultThrottled,

	"InvalidMessageContents":                      webhook.FaultInvalidRequest,
	"InvalidParameterValue":                       webhook.FaultInvalidRequest,
	"InvalidParameterCombination":                 webhook.FaultInvalidRequest,
	"MissingParameter":                            webhook.FaultInvalidRequest,
	"UnsupportedOperation":                        webhook.FaultInvalidRequest,
	"AWS.SimpleQueueService.UnsupportedOperation": webhook.FaultInvalidRequest,
	"InvalidAttributeValue":                       webhook.FaultInvalidRequest,
}

// answerCode tells what an API error is and says so. What Amazon says of credentials is
// left out: it may quote the request, and with it the session token.
func answerCode(api smithy.APIError, status int) (webhook.FaultCode, string) {
	name := api.ErrorCode()
	code, known := codes[name]
	if _, throttled := retry.DefaultThrottleErrorCodes[name]; throttled || status == http.StatusTooManyRequests {
		code, known = FaultThrottled, true
	}
	switch {
	case !known && status >= http.StatusInternalServerError:
		code = FaultUnavailable
	case !known && status == http.StatusForbidden: // about the right or the signature, who knows
		return FaultAccessDenied, fmt.Sprintf("Amazon SQS answered %d %s", status, name)
	case !known:
		code = webhook.FaultOther
	case code == FaultCredentials:
		return code, fmt.Sprintf("Amazon SQS does not accept the sender's credentials: %d %s", status, name)
	}
	return code, fmt.Sprintf("Amazon SQS answered %d %s: %s", status, name, said(api))
}

// said is the API's own sentence, bounded.
func said(api smithy.APIError) string {
	const most = 1024
	text := api.ErrorMessage()
	if len(text) > most {
		text = string(webhook.CutText([]byte(text[:most]))) + "…"
	}
	return text
}
