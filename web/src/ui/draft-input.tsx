import { useEffect, useState } from 'preact/hooks';

/** An input whose owner is told when its value is complete. What is typed until then stays, however often the page is drawn meanwhile. `takesBack`: what the owner does not take gives way to its value. */
export const DraftInput = (props: { name: string; value: string; onDone: (input: HTMLInputElement) => void; more?: Readonly<Record<string, unknown>>; takesBack?: boolean }) => {
  const { name, value, onDone, more = {}, takesBack = false } = props;
  const [draft, setDraft] = useState(value);
  useEffect(() => { setDraft(value); }, [value]);
  return <input name={name} value={draft} autocomplete="off" onInput={(event) => setDraft(event.currentTarget.value)} onChange={(event) => { onDone(event.currentTarget); if (takesBack) setDraft(value); }} {...more} />;
};
