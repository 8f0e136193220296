// A block's stored exponent from its largest rank, requantizer_lane.block_exponent and is_clamped.
module requantizer_exponent #(
    parameter int RANK_BITS = 12
) (
    input  logic signed [RANK_BITS-1:0] top,
    input  logic                  [1:0] width,
    output logic signed           [7:0] stored,
    output logic                        clamped
);
  localparam logic signed [RANK_BITS-1:0] Lowest = {1'b1, {(RANK_BITS - 1) {1'b0}}};
  logic signed [RANK_BITS-1:0] raw, code;
  logic signed [7:0] held;
  logic is_zero;
  assign is_zero = top == Lowest;
  assign code = width == 0 ? RANK_BITS'(3) : width == 1 ? RANK_BITS'(7) : RANK_BITS'(15);
  assign raw = (top >>> 1) - code + $signed({{(RANK_BITS - 1) {1'b0}}, top[0]});
  saturate #(.WI(RANK_BITS), .WO(8), .SYMMETRIC(1'b1)) u_held (.x(raw), .y(held));
  assign stored  = is_zero ? -8'sd128 : held;
  assign clamped = ~is_zero & (RANK_BITS'(held) != raw);
endmodule
