import { useRef, useState } from 'preact/hooks';

/** Text to copy, shown in full. */
export const Copy = (props: { text: string }) => {
  const [done, setDone] = useState(false);
  const code = useRef<HTMLElement>(null);
  const copy = async (): Promise<void> => {
    if (!code.current) return;
    getSelection()?.selectAllChildren(code.current);
    // Without HTTPS there is no clipboard object; the old way copies the selection, and where that is refused too the text stays selected.
    // eslint-disable-next-line @typescript-eslint/no-deprecated -- see above
    const copied = 'clipboard' in navigator ? await navigator.clipboard.writeText(props.text).then(() => true, () => false) : document.execCommand('copy');
    if (!copied) return;
    setDone(true);
    setTimeout(() => setDone(false), 1500);
  };
  return <div class="copy"><code ref={code} tabIndex={0}>{props.text}</code><button type="button" class="quiet" onClick={() => void copy()}>{done ? 'Copied' : 'Copy'}</button></div>;
};
