package image

import (
	"encoding/binary"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// fixture builds the program of closures and returns its file.
func fixture(t *testing.T, platform string, args ...string) string {
	t.Helper()
	goos, goarch, _ := strings.Cut(platform, "/")
	file := filepath.Join(t.TempDir(), "closures")
	cmd := exec.CommandContext(t.Context(), "go", append(append([]string{"build", "-o", file}, args...), "./testdata/closures")...)
	cmd.Env = append(os.Environ(), "GOOS="+goos, "GOARCH="+goarch, "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("%s cannot be built here: %v\n%s", platform, err, out)
	}
	return file
}

func mustSurvey(t *testing.T, file string) *Survey {
	t.Helper()
	s, err := SurveyFile(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d sites, %d bound, %d conflicts", s.Sites, s.Bound, len(s.Conflicts))
	for _, u := range s.Unbound {
		t.Errorf("not bound: %s at %#x: %s", u.Func, u.PC, u.Reason)
	}
	if len(s.Conflicts) > 0 || s.Bound != s.Sites {
		t.Errorf("%d of %d sites bound, conflicts %v", s.Bound, s.Sites, s.Conflicts)
	}
	return s
}

// ofMain returns the layouts of the program's own closures.
func ofMain(s *Survey) map[string]string {
	own := maps.Clone(s.Layouts)
	maps.DeleteFunc(own, func(name, _ string) bool { return !strings.HasPrefix(name, "main.") })
	return own
}

// known are layouts as the source of the program says.
var known = map[string]string{
	"main.point.Sum-fm":                  "F@0 uintptr; R@8 main.point; ",
	"main.(*point).Move-fm":              "F@0 uintptr; R@8 *main.point; ",
	"fmt.Stringer.String-fm":             "F@0 uintptr; R@8 fmt.Stringer; ",
	"main.main.func3":                    "F@0 uintptr; X0@8 float64; X1@16 *main.point; X2@24 main.point; ",
	"main.main.func4":                    "F@0 uintptr; X0@8 *[40]int; ",
	"main.main.func6":                    "F@0 uintptr; X0@8 io.Reader; ",
	"main.nested[go.shape.*uint8].func1": "F@0 uintptr; X0@8 go.shape.*uint8; X1@16 *[3]uintptr; ",
}

// The same program has the same closures on every platform, in every file format.
func TestExecutablesOfOtherPlatformsAreUnderstood(t *testing.T) {
	here := mustSurvey(t, fixture(t, "linux/amd64"))
	for name, layout := range known {
		if here.Layouts[name] != layout {
			t.Errorf("%s: %q, want %q", name, here.Layouts[name], layout)
		}
	}
	want := ofMain(here)
	builds := []struct {
		platform string
		args     []string
	}{{"linux/amd64", []string{"-buildmode=pie"}}, {"linux/arm64", nil}, {"darwin/arm64", nil}, {"windows/amd64", nil}}
	if !testing.Short() {
		builds = append(builds, []struct {
			platform string
			args     []string
		}{
			{"linux/amd64", []string{"-ldflags=-s -w"}},
			{"linux/arm64", []string{"-ldflags=-s -w", "-buildmode=pie"}},
			{"darwin/arm64", []string{"-ldflags=-s -w"}},
			{"darwin/amd64", nil},
			{"windows/amd64", []string{"-ldflags=-s -w"}},
		}...)
	}
	for _, b := range builds {
		t.Run(b.platform+" "+strings.Join(b.args, " "), func(t *testing.T) {
			got := ofMain(mustSurvey(t, fixture(t, b.platform, b.args...)))
			if !maps.Equal(got, want) {
				t.Errorf("closures\n%v\nwant\n%v", got, want)
			}
		})
	}
}

func TestTheGoCommandIsUnderstood(t *testing.T) {
	file, err := exec.LookPath("go")
	if err != nil {
		t.Skip("there is no go command: ", err)
	}
	mustSurvey(t, file)
}

func TestWhatIsNotAnExecutableOfGoIsSurveyedAsAnError(t *testing.T) {
	for _, name := range []string{"survey_test.go", "no such file", "/bin/ls", "."} {
		if s, err := SurveyFile(name); err == nil {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

// A file that lies about itself gives an error or a wrong survey, and no more than that.
func FuzzSurvey(f *testing.F) {
	file := filepath.Join(f.TempDir(), "closures")
	cmd := exec.CommandContext(f.Context(), "go", "build", "-o", file, "-ldflags=-s -w", "./testdata/closures")
	if out, err := cmd.CombinedOutput(); err != nil {
		f.Skipf("the program cannot be built here: %v\n%s", err, out)
	}
	good, err := os.ReadFile(file)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint32(0), uint64(0), uint32(8), uint64(1))
	f.Add(uint32(0x28), uint64(1)<<63, uint32(1000), ^uint64(0))
	f.Fuzz(func(t *testing.T, at uint32, with uint64, at2 uint32, with2 uint64) {
		lies := string(good)
		lies = overwrite(overwrite(lies, at, with), at2, with2)
		if p, err := readProgram(strings.NewReader(lies)); err == nil {
			_, _ = p.survey()
		}
	})
}

// overwrite puts a word into a text. Half of the positions fall into the headers and tables, where it matters.
func overwrite(text string, at uint32, with uint64) string {
	b := []byte(text)
	i := int(at>>1) % (len(b) - wordSize)
	if at&1 == 0 {
		i %= 4 << 10
	} else if table := strings.Index(text, "\xf1\xff\xff\xff\x00\x00"); at&2 != 0 && table >= 0 {
		i = table + i%pclnHeader
	}
	binary.LittleEndian.PutUint64(b[i:], with)
	return string(b)
}
