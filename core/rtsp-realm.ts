/** The realm of RTSP Digest (RFC 7616 §3.3). The HA1 kept of every camera key is made with it, so a change would lock all of them out. */
export const RTSP_REALM = 'imageflow';
