// x held in WO bits: ops.saturate, or ops.saturate_symmetric, which leaves out the lowest number.
module saturate #(
    parameter int WI        = 32,
    parameter int WO        = 8,
    parameter bit SYMMETRIC = 1'b0
) (
    input  logic signed [WI-1:0] x,
    output logic signed [WO-1:0] y
);
  localparam logic signed [WO-1:0] Highest = {1'b0, {(WO - 1) {1'b1}}};
  localparam logic signed [WO-1:0] Lowest = SYMMETRIC ? -Highest : {1'b1, {(WO - 1) {1'b0}}};
  logic low, high;
  assign low  = x < WI'(Lowest);
  assign high = x > WI'(Highest);
  assign y    = low ? Lowest : high ? Highest : x[WO-1:0];
endmodule
