// x * 2**s with two more bits below, the last one set where anything is lost: requantizer_lane.shifted.
// What saturates as a code is held, before a left shift and in the end.
module requantizer_shift #(
    parameter int W       = 64,
    parameter int WS      = 12,
    parameter int CODE    = 16,
    parameter int LONGEST = W - 2,
    parameter int KEPT    = CODE + 3
) (
    input  logic signed    [W-1:0] x,
    input  logic signed   [WS-1:0] s,
    output logic signed [KEPT-1:0] y
);
  localparam int N = $clog2(LONGEST + 1);
  localparam int L = $clog2(CODE + 3);
  localparam int Wide = CODE + 1 + CODE + 2;
  localparam logic signed [WS-1:0] Rightmost = WS'(-LONGEST - 2);
  localparam logic signed [WS-1:0] Leftmost = WS'(CODE);
  logic signed [WS-1:0] places;
  logic [N-1:0] right;
  logic [L-1:0] left;

  assign places = s + WS'(2);
  assign right  = s < Rightmost ? N'(LONGEST) : N'(-places);
  assign left   = s > Leftmost ? L'(CODE + 2) : L'(places);

  logic signed [W-1:0] quotient, marked;
  logic lost;
  logic signed [KEPT-1:0] from_right;
  assign quotient = x >>> right;
  assign lost     = |(x & ~({W{1'b1}} << right));
  assign marked   = {quotient[W-1:1], quotient[0] | lost};
  saturate #(.WI(W), .WO(KEPT)) u_right (.x(marked), .y(from_right));

  logic signed [CODE:0] held;
  logic signed [Wide-1:0] exact;
  logic signed [KEPT-1:0] from_left;
  saturate #(.WI(W), .WO(CODE + 1)) u_held (.x(x), .y(held));
  assign exact = Wide'(held) <<< left;
  saturate #(.WI(Wide), .WO(KEPT)) u_left (.x(exact), .y(from_left));

  assign y = places > 0 ? from_left : from_right;
endmodule
