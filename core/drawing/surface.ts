/** Pixels; all even where boxes are drawn, for a chroma sample covers two by two. */
export interface Rectangle {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

export interface Size {
  readonly width: number;
  readonly height: number;
}

/** A picture that can be drawn into, whatever its pixels are. */
export interface Surface extends Size {
  /** Fills a rectangle of even sides within the picture with a colour, `0xrrggbb`. */
  fill(rectangle: Rectangle, colour: number): void;
  /** A square of the words on a label, which was filled before; what lies beside the picture is left out. */
  dot(left: number, top: number, side: number): void;
}

/** Rows of one kind of samples, in memory of whoever has the picture. */
export interface Plane {
  readonly bytes: Uint8Array;
  /** Bytes from one row to the next. */
  readonly stride: number;
}
