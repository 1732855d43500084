package node

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"golang.org/x/crypto/scrypt"
	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"
)

// The parameters are k3s's, so that a secret restored from a real box works.
const (
	hashVersion, logN, blockSize, parallel = 1, 15, 8, 1
	saltLength, keyLength                  = 8, 64
)

var errRejected = errors.New("Node password rejected, duplicate hostname or contents of '/etc/rancher/node/password' " +
	"may not match server node-passwd entry, try enabling a unique node name with the --with-node-id flag")

// Password reads the node's password or makes it. It stays on the box through an
// uninstall: it says that this is the machine that had the node's name before.
func Password(file string) (string, error) {
	b, err := os.ReadFile(file)
	if err == nil {
		return strings.TrimSpace(string(b)), nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("read node password: %w", err)
	}
	raw := make([]byte, 16)
	if _, err := rand.Read(raw); err != nil {
		return "", err
	}
	password := hex.EncodeToString(raw)
	if err := writeFile(file, []byte(password+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("write node password: %w", err)
	}
	return password, nil
}

// Admit compares the node's password with the cluster's record of it, or makes
// the record. As in k3s a wrong password is tried again rather than given up on:
// somebody may delete the record meanwhile.
func Admit(ctx context.Context, log *slog.Logger, client kubernetes.Interface, node, password string) error {
	return wait.PollUntilContextCancel(ctx, 5*time.Second, true, func(ctx context.Context) (bool, error) {
		err := AdmitOnce(ctx, client, node, password)
		if err != nil {
			log.Error("Waiting to retrieve agent configuration; server is not ready: " + err.Error())
		}
		return err == nil, nil
	})
}

// AdmitOnce is one try of Admit, for a node whose agent tries again by itself.
func AdmitOnce(ctx context.Context, client kubernetes.Interface, node, password string) error {
	secrets := client.CoreV1().Secrets("kube-system")
	name := node + ".node-password.k3s"
	secret, err := secrets.Get(ctx, name, metav1.GetOptions{})
	if err == nil {
		return verify(string(secret.Data["hash"]), password)
	}
	if !apierrors.IsNotFound(err) {
		return err
	}
	hash, err := newHash(password)
	if err != nil {
		return err
	}
	_, err = secrets.Create(ctx, &core.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "kube-system"},
		Immutable:  ptr.To(true),
		Data:       map[string][]byte{"hash": []byte(hash)},
	}, metav1.CreateOptions{})
	return err
}

func newHash(password string) (string, error) {
	salt := make([]byte, saltLength)
	if _, err := rand.Read(salt); err != nil {
		return "", err
	}
	key, err := scrypt.Key([]byte(password), salt, 1<<logN, blockSize, parallel, keyLength)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("$%d:%x:%d:%d:%d:%s", hashVersion, salt, logN, blockSize, parallel,
		base64.RawStdEncoding.EncodeToString(key)), nil
}

func verify(hash, password string) error {
	fields := strings.Split(strings.TrimPrefix(hash, "$"), ":")
	if len(fields) != 6 {
		return errors.New("node password record is damaged: delete the secret, and the node will make it again")
	}
	salt, err := hex.DecodeString(fields[1])
	if err != nil {
		return fmt.Errorf("node password record: %w", err)
	}
	want, err := base64.RawStdEncoding.DecodeString(fields[5])
	if err != nil {
		return fmt.Errorf("node password record: %w", err)
	}
	got, err := scrypt.Key([]byte(password), salt, 1<<logN, blockSize, parallel, len(want))
	if err != nil {
		return err
	}
	if subtle.ConstantTimeCompare(got, want) != 1 {
		return errRejected
	}
	return nil
}

// ForgetDeleted drops the record of a node that was deleted, so that another
// machine may take its name.
func ForgetDeleted(ctx context.Context, client kubernetes.Interface) error {
	for ctx.Err() == nil {
		w, err := client.CoreV1().Nodes().Watch(ctx, metav1.ListOptions{})
		if err != nil {
			if waitErr := pause(ctx, 5*time.Second); waitErr != nil {
				return waitErr
			}
			continue
		}
		for event := range w.ResultChan() {
			if n, ok := event.Object.(*core.Node); ok && event.Type == "DELETED" {
				err := client.CoreV1().Secrets("kube-system").Delete(ctx, n.Name+".node-password.k3s", metav1.DeleteOptions{})
				if err != nil && !apierrors.IsNotFound(err) {
					return fmt.Errorf("forget password of node %s: %w", n.Name, err)
				}
			}
		}
	}
	return ctx.Err()
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// Mark gives the node the role and notes that the kubelet may not give itself.
func Mark(ctx context.Context, client kubernetes.Interface, node, ip string) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"labels":      map[string]string{"node-role.kubernetes.io/control-plane": "true"},
		"annotations": map[string]string{"k3s.io/hostname": node, "k3s.io/internal-ip": ip},
	}})
	if err != nil {
		return err
	}
	return wait.PollUntilContextCancel(ctx, time.Second, true, func(ctx context.Context) (bool, error) {
		_, err := client.CoreV1().Nodes().Patch(ctx, node, types.StrategicMergePatchType, patch, metav1.PatchOptions{})
		return err == nil, nil
	})
}
