// left + (right - left) * low / 2**LOW, rounded half up: lut.interpolate between two entries of a table.
module interpolate #(
    parameter int W   = 20,
    parameter int LOW = 8
) (
    input  logic signed [W-1:0] left,
    input  logic signed [W-1:0] right,
    input  logic      [LOW-1:0] low,
    output logic signed [W-1:0] y
);
  logic signed [W+LOW+1:0] product, rounded;
  multiplier #(.WA(W + 1), .WB(LOW + 1)) u_slope (
      .a((W + 1)'(right) - (W + 1)'(left)),
      .b($signed({1'b0, low})),
      .p(product)
  );
  assign rounded = (product + (W + LOW + 2)'(1 << (LOW - 1))) >>> LOW;
  assign y = left + rounded[W-1:0];
  logic unused;
  assign unused = ^rounded[W+LOW+1:W];
endmodule
