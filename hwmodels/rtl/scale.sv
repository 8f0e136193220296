// x * 2**s: ops.scale. Left exactly, right with one rounding; nothing is left of x right of LIMIT places.
// A left shift is held at LONGEST_LEFT, which is no shorter than any that matters.
module scale #(
    parameter int WX           = 16,
    parameter int WS           = 9,
    parameter int LIMIT        = 31,
    parameter int LONGEST_LEFT = LIMIT,
    parameter int ROUNDING     = 2,
    parameter int WY           = WX + LONGEST_LEFT
) (
    input  logic signed [WX-1:0] x,
    input  logic signed [WS-1:0] s,
    output logic signed [WY-1:0] y
);
  localparam int N = $clog2(LIMIT + 1);
  localparam int L = $clog2(LONGEST_LEFT + 1);
  localparam logic signed [WS-1:0] Rightmost = WS'(-LIMIT);
  localparam logic signed [WS-1:0] Leftmost = WS'(LONGEST_LEFT);
  logic flushed, far;
  logic [N-1:0] right;
  logic [L-1:0] left;
  logic signed [WX-1:0] shifted;
  assign flushed = s < Rightmost;
  assign far     = s > Leftmost;
  assign right   = s[WS-1] ? N'(-s) : '0;
  assign left    = s[WS-1] ? '0 : far ? L'(LONGEST_LEFT) : L'(s);
  round_shift #(.W(WX), .S(N), .ROUNDING(ROUNDING)) u_right (.x(x), .s(right), .y(shifted));
  assign y = flushed ? '0 : WY'(shifted) <<< left;
endmodule
