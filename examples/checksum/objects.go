package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/logging"
)

// newClient makes this process's client of S3 from what the AWS tools use, too: the environment and ~/.aws. It needs
// no network. What is wrong there is found by ready, so that it disturbs nobody who hashes files.
func newClient(ctx context.Context) *s3.Client {
	cfg, err := config.LoadDefaultConfig(ctx, config.WithLogger(logging.Nop{})) // all that matters is an error, too
	if err != nil {
		cfg.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{}, &configError{err}
		})
	}
	return s3.NewFromConfig(cfg, func(o *s3.Options) {
		o.UsePathStyle = o.BaseEndpoint != nil // a server of one's own rarely has a host name for each bucket
		o.Retryer = retry.NewStandard(func(r *retry.StandardOptions) {
			r.RateLimiter = ratelimit.NewTokenRateLimit(retries * retry.DefaultRetryCost)
		})
	})
}

// retries is how often a process tries again while nothing succeeds. After that a server is taken for gone: it is not
// waited for with every object that is left.
const retries = 10

// configError is why the environment or ~/.aws cannot be used.
type configError struct{ err error }

// Error returns what the reason says.
func (e *configError) Error() string { return e.err.Error() }

// ready says what the client lacks, before a long run finds out.
func ready(ctx context.Context, client *s3.Client) error {
	o := client.Options()
	_, err := o.Credentials.Retrieve(ctx)
	var broken *configError
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.As(err, &broken):
		return fmt.Errorf("S3: the configuration cannot be used: %w", broken)
	case err != nil: // its text may have in it what a program for credentials printed
		return errors.New("S3: no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE")
	case o.Region == "":
		return errors.New("S3: no region: set AWS_REGION (to us-east-1, if the server is your own)")
	case o.BaseEndpoint == nil:
		return nil
	}
	endpoint, err := url.Parse(*o.BaseEndpoint)
	if err != nil || endpoint.Scheme != "http" && endpoint.Scheme != "https" || endpoint.Host == "" {
		return errors.New("S3: the endpoint is no URL: set AWS_ENDPOINT_URL to one like http://localhost:7070")
	}
	return nil
}

// s3Scheme begins the name of an object.
const s3Scheme = "s3://"

// isObject says whether a name is s3://bucket, s3://bucket/key, or meant to be.
func isObject(name string) bool { return strings.HasPrefix(name, s3Scheme) }

// splitName returns the parts of such a name. The key has no escapes in it.
func splitName(name string) (bucket, key string) {
	bucket, key, _ = strings.Cut(strings.TrimPrefix(name, s3Scheme), "/")
	return bucket, key
}

// findObjects yields the object of that name, or if there is none all whose names begin with it, and returns false
// when yield has. Nothing at all below a key is a problem; an empty bucket is not.
func findObjects(ctx context.Context, client *s3.Client, name string, yield func(file) bool) bool {
	bucket, key := splitName(name)
	if bucket == "" {
		return yield(file{path: name, err: errors.New("it names no bucket: write s3://bucket/prefix")})
	}
	if key != "" && !strings.HasSuffix(key, "/") {
		head, err := client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &bucket, Key: &key})
		if err == nil {
			return yield(file{path: name, size: aws.ToInt64(head.ContentLength)})
		}
		if answer := smithy.APIError(nil); !errors.As(err, &answer) {
			return yield(file{path: name, err: explain(err)})
		}
	}
	found := false
	pages := s3.NewListObjectsV2Paginator(client, &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: &key})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return yield(file{path: name, err: explain(err)})
		}
		for _, object := range page.Contents {
			found = true
			if !yield(file{path: s3Scheme + bucket + "/" + aws.ToString(object.Key), size: aws.ToInt64(object.Size)}) {
				return false
			}
		}
	}
	if !found && key != "" {
		return yield(file{path: name, err: errors.New("there is no such object, and none whose name begins so")})
	}
	return true
}

// openObject begins to read an object. It runs on a runner, with the client of that process.
func openObject(ctx context.Context, client *s3.Client, name string) (io.ReadCloser, error) {
	bucket, key := splitName(name)
	if bucket == "" || key == "" {
		return nil, errors.New("it names no object: write s3://bucket/key")
	}
	out, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		return nil, explain(err)
	}
	return explained{out.Body}, nil
}

// explained is the content of an object. Its errors are explained.
type explained struct{ io.ReadCloser }

func (e explained) Read(b []byte) (int, error) {
	n, err := e.ReadCloser.Read(b)
	if err != nil && err != io.EOF {
		err = explain(err)
	}
	return n, err
}

// explain says in a line what went wrong between us and the server, and the way out. The client's own errors have
// more lines, and the whole response in them: that does not go from process to process.
func explain(err error) error {
	var answer smithy.APIError
	var network *net.OpError
	var request *url.Error
	switch {
	case errors.Is(err, context.Canceled):
		return context.Canceled
	case errors.As(err, &answer):
		return explainAnswer(answer)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the connection broke off while it was read: try again")
	case errors.As(err, &network):
		return fmt.Errorf("%s: is the server up, and AWS_ENDPOINT_URL right?", network)
	case errors.As(err, &request):
		return fmt.Errorf("%s: is AWS_ENDPOINT_URL right?", request.Err)
	}
	return errors.New(err.Error())
}

// explainAnswer does so with an error that the server sent.
func explainAnswer(err smithy.APIError) error {
	switch code := err.ErrorCode(); code {
	case "NoSuchKey", "NotFound":
		return errors.New("there is no such object (any more)")
	case "NoSuchBucket":
		return errors.New("there is no such bucket: is its name right, and AWS_ENDPOINT_URL?")
	case "AccessDenied", "Forbidden", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken",
		"XAdminUserNotFound":
		return fmt.Errorf("access denied (%s): check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, "+
			"and what they allow", code)
	case "PermanentRedirect", "AuthorizationHeaderMalformed":
		return fmt.Errorf("the bucket is in another region (%s): set AWS_REGION to it", code)
	default:
		return fmt.Errorf("%s: %s", code, err.ErrorMessage())
	}
}
