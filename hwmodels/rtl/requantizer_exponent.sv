// A block's stored exponent from its largest rank, requantizer_lane.block_exponent and is_clamped.
module requantizer_exponent #(
    parameter int RANK_BITS = 12
) (
    input  logic signed [RANK_BITS-1:0] top,
    input  logic                  [3:0] form,
    output logic signed           [7:0] stored,
    output logic                        clamped
);
  localparam logic signed [RANK_BITS-1:0] Lowest = {1'b1, {(RANK_BITS - 1) {1'b0}}};
  logic signed [RANK_BITS-1:0] raw, code;
  logic signed [7:0] held;
  logic is_zero, unused;
  assign unused = form[3];
  assign is_zero = top == Lowest;
  assign code = form[2:0] == 7 ? RANK_BITS'(15) : RANK_BITS'(2) + RANK_BITS'(form[2:0]);  // bits of a magnitude
  assign raw = (top >>> 1) - code + $signed({{(RANK_BITS - 1) {1'b0}}, top[0]});
  saturate #(.WI(RANK_BITS), .WO(8), .SYMMETRIC(1'b1)) u_held (.x(raw), .y(held));
  assign stored  = is_zero ? -8'sd128 : held;
  assign clamped = ~is_zero & (RANK_BITS'(held) != raw);
endmodule
