import { useEffect, useState } from 'react';
import { createClient, NotAuthenticatedError } from '/bff/client/bff-client.js';
import type { Client, SessionEvent, User } from '/bff/client/bff-client.js';

const client: Client = createClient({ prefix: '/bff' });

function useUser(): User | null | undefined {
  const [user, setUser] = useState<User | null>();
  useEffect(() => {
    const ask = () => void client.user().then(setUser);
    ask();
    return client.onSession((event: SessionEvent) => {
      if (event.type === 'ended') setUser(null);
      if (event.type === 'logged_in') ask();
    });
  }, []);
  return user;
}

export function App() {
  const user = useUser();
  const [answer, setAnswer] = useState('');
  if (user === undefined) return <p>One moment.</p>;
  if (user === null) return <button onClick={() => client.login()}>Log in</button>;

  async function call() {
    try {
      const response = await client.fetch('/api/notes');
      setAnswer(`status ${response.status}`);
    } catch (error) {
      if (error instanceof NotAuthenticatedError) client.login({ returnUrl: '/' });
      else throw error;
    }
  }

  return (
    <main>
      <h1>{user.name ?? user.sub}</h1>
      <p>{user.bff.session_expires_in > 0 ? 'live' : 'over'}</p>
      <button onClick={() => void call()}>Call the API</button>
      <output>{answer}</output>
    </main>
  );
}
