import { useState } from 'preact/hooks';
import { inWords } from '../api-error.ts';
import { api } from '../api.ts';

export const Login = (props: { onSignedIn: () => void }) => {
  const [failure, setFailure] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);

  const submit = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    setBusy(true);
    setFailure(null);
    try {
      await api.login(form.get('username') as string, form.get('password') as string);
      props.onSignedIn();
    } catch (error) {
      setFailure(inWords(error));
    } finally {
      setBusy(false);
    }
  };

  return (
    <main class="login">
      <form class="card" onSubmit={(event) => void submit(event)}>
        <img src="/icon.svg" alt="" width="48" height="48" />
        <h1>ImageFlow Edge</h1>
        <label>User name<input name="username" autocomplete="username" autocapitalize="none" spellcheck={false} value="admin" required /></label>
        <label>Password<input name="password" type="password" autocomplete="current-password" required autofocus /></label>
        {failure && <p class="failure" role="alert">{failure}</p>}
        <button type="submit" class="primary" disabled={busy}>{busy ? 'Signing in…' : 'Sign in'}</button>
      </form>
    </main>
  );
};
