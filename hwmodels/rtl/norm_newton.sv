// One Newton step of the reciprocal root, root (3 - mantissa root**2) / 2, in three stages of which the last
// register is outside: norm_root.newton_step.
module norm_newton (
    input  logic        clk,
    input  logic [18:0] root,
    input  logic [17:0] mantissa,  // a cycle later than the root
    output logic [18:0] better
);
  // r**2
  logic signed [39:0] squared, square_rounded;
  logic [19:0] square;
  logic [18:0] root_1;
  multiplier #(.WA(20), .WB(20)) u_square (.a($signed({1'b0, root})), .b($signed({1'b0, root})), .p(squared));
  assign square_rounded = (squared + 40'sd131072) >>> 18;
  always_ff @(posedge clk) begin
    square <= square_rounded[19:0];
    root_1 <= root;
  end

  // 3 - m r**2
  logic signed [39:0] product, rounded;
  logic signed [22:0] error;
  logic [18:0] root_2;
  multiplier #(.WA(19), .WB(21)) u_error (
      .a($signed({1'b0, mantissa})),
      .b($signed({1'b0, square})),
      .p(product)
  );
  assign rounded = (product + 40'sd32768) >>> 16;
  always_ff @(posedge clk) begin
    error  <= 23'sd786432 - rounded[22:0];
    root_2 <= root_1;
  end

  // r (3 - m r**2) / 2
  logic signed [42:0] corrected, halved;
  multiplier #(.WA(20), .WB(23)) u_next (.a($signed({1'b0, root_2})), .b(error), .p(corrected));
  assign halved = (corrected + 43'sd262144) >>> 19;
  assign better = halved[18:0];

  logic unused;
  assign unused = ^{square_rounded[39:20], rounded[39:23], halved[42:19]};
endmodule
