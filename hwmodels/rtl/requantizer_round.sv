// A shifted sum without its two lowest bits, to nearest even, held in a code: requantizer_lane.rounded.
module requantizer_round #(
    parameter int KEPT = 19,
    parameter int CODE = 16
) (
    input  logic signed [KEPT-1:0] kept,
    input  logic             [3:0] form,
    output logic signed [CODE-1:0] code,
    output logic                   saturated
);
  localparam int W = KEPT - 1;
  logic signed [W-1:0] whole, limit, held;
  logic up, unused;
  assign unused = form[3];
  assign up    = kept[1] & (kept[0] | kept[2]);
  assign whole = W'(kept >>> 2) + $signed({{(W - 1) {1'b0}}, up});
  assign limit = form[2:0] == 7 ? W'((1 << (CODE - 1)) - 1) : (W'(4) << form[2:0]) - W'(1);
  assign held  = whole > limit ? limit : whole < -limit ? -limit : whole;
  assign code  = held[CODE-1:0];
  assign saturated = held != whole;
endmodule
