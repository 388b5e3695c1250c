import { type ReactNode, useId, useLayoutEffect, useRef } from 'react';

interface Props {
  title: string;
  children: ReactNode;
  /** The button that does it. */
  confirm: string;
  danger?: boolean;
  busy?: boolean;
  disabled?: boolean;
  onConfirm(): void;
  onClose(): void;
}

/** Asks something. The browser keeps the focus inside, closes it on Escape and gives the focus back. */
export function Dialog({ title, children, confirm, danger = false, busy = false, disabled = false, onConfirm, onClose }: Props) {
  const ref = useRef<HTMLDialogElement>(null);
  const heading = useId();
  useLayoutEffect(() => {
    const dialog = ref.current;
    dialog?.showModal();
    return () => dialog?.close(); // before it is taken from the page: what is gone gives no focus back
  }, []);
  return (
    <dialog ref={ref} className="dialog" aria-labelledby={heading} onClose={onClose} onClick={(event) => event.target === ref.current && onClose()}>
      <form
        method="dialog"
        onSubmit={(event) => {
          event.preventDefault();
          if (!busy && !disabled) onConfirm();
        }}
      >
        <h2 id={heading}>{title}</h2>
        {children}
        <div className="buttons">
          <button type="button" className="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" className={danger ? 'button danger' : 'button primary'} aria-busy={busy} disabled={disabled}>
            {confirm}
          </button>
        </div>
      </form>
    </dialog>
  );
}
