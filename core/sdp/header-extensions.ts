/** URIs of the RTP header extensions we speak of in SDP. */
export const HeaderExtension = {
  transportSequence: 'http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01',
  absoluteSendTime: 'http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time',
  absoluteCaptureTime: 'http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time',
  mid: 'urn:ietf:params:rtp-hdrext:sdes:mid',
  rid: 'urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id',
  repairedRid: 'urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id',
  videoOrientation: 'urn:3gpp:video-orientation',
} as const;
