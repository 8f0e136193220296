// x / 2**s, rounded: ops.shift_right. ROUNDING is 0 (floor), 1 (half up) or 2 (half to even).
module round_shift #(
    parameter int W        = 32,
    parameter int S        = 5,
    parameter int ROUNDING = 2
) (
    input  logic signed [W-1:0] x,
    input  logic        [S-1:0] s,
    output logic signed [W-1:0] y
);
  // one more bit below the quotient is the half; all below it are sticky
  logic signed [W:0] quotient;
  logic        [W:0] dropped;
  logic half, sticky, up;
  assign quotient = $signed({x, 1'b0}) >>> s;
  assign dropped  = {x, 1'b0} & ~({(W + 1) {1'b1}} << s);
  assign half     = quotient[0];
  assign sticky   = |dropped;
  generate
    if (ROUNDING == 0) begin : floor
      assign up = 1'b0;
      logic unused;
      assign unused = &{half, sticky};
    end else if (ROUNDING == 1) begin : half_up
      assign up = half;
      logic unused;
      assign unused = sticky;
    end else begin : half_even
      assign up = half & (sticky | quotient[1]);
    end
  endgenerate
  assign y = quotient[W:1] + W'(up);
endmodule
