import { useId } from 'react';
import { useAction } from '../ui/action';
import { useParley } from '../ui/context';
import './settings.css';

/** The longest side that is uploaded, in pixels: nothing shows more. */
const side = 1_024;

interface Props {
  /** Whether there is one now, that can be taken away. */
  has: boolean;
  /** Takes the id of an upload; null takes the picture away. */
  set(fileId: string | null): Promise<unknown>;
}

/** Buttons that choose a picture and take it away. */
export function PictureButtons({ has, set }: Props) {
  const { upload } = useParley();
  const [choose, choosing] = useAction(async (file: File) => set(await upload(await shrunk(file))));
  const [remove, removing] = useAction(() => set(null));
  const id = useId();
  return (
    <div className="picture-buttons">
      <input
        id={id}
        className="hidden"
        type="file"
        accept="image/png,image/jpeg,image/gif,image/webp"
        disabled={choosing}
        onChange={(event) => {
          const [file] = event.target.files ?? [];
          if (file) void choose(file);
          event.target.value = ''; // so that the same one can be chosen again
        }}
      />
      <label htmlFor={id} className="button" aria-busy={choosing}>
        {has ? 'Another picture' : 'Choose a picture'}
      </label>
      {has && (
        <button type="button" className="button" aria-busy={removing} onClick={() => void remove()}>
          Take it away
        </button>
      )}
    </div>
  );
}

/** A picture from a camera, small enough to be uploaded; one that is small, or that the browser cannot read, stays as it is. */
async function shrunk(file: File): Promise<Blob> {
  const picture = await createImageBitmap(file).catch(() => null);
  if (!picture) return file;
  const scale = side / Math.max(picture.width, picture.height);
  if (scale >= 1) return file;
  const canvas = new OffscreenCanvas(Math.round(picture.width * scale), Math.round(picture.height * scale));
  canvas.getContext('2d')?.drawImage(picture, 0, 0, canvas.width, canvas.height);
  picture.close();
  return canvas.convertToBlob({ type: file.type === 'image/png' ? 'image/png' : 'image/jpeg', quality: 0.9 });
}
